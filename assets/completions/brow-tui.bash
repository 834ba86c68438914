# Completions of brow-tui for bash. The program itself is asked; what it answers is quoted, and never run.
_brow_tui() {
    local one all=()
    while IFS= read -r one; do
        all+=("$one")
    done < <(BROW_COMPLETE=bash command brow-tui -- "${COMP_LINE:0:COMP_POINT}" "$2" </dev/null 2>/dev/null)
    COMPREPLY=("${all[@]}")
    # A folder, or an option whose value comes: the word goes on.
    if [[ ${#all[@]} -eq 1 && ${all[0]} == *[/=] ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o nosort -F _brow_tui brow-tui 2>/dev/null || complete -F _brow_tui brow-tui
