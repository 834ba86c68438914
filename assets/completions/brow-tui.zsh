#compdef brow-tui
# Completions of brow-tui for zsh. The program itself is asked; what it answers is quoted by zsh, and never run.
_brow_tui() {
    local value help
    local -a whole begun whole_shown begun_shown
    while IFS=$'\t' read -r value help; do
        # A folder, or an option whose value comes: the word goes on.
        if [[ $value == *[/=] ]]; then
            begun+=("$value") begun_shown+=("$value${help:+  -- $help}")
        else
            whole+=("$value") whole_shown+=("$value${help:+  -- $help}")
        fi
    done < <(BROW_COMPLETE=zsh command brow-tui -- "${(@Q)words[1,CURRENT-1]}" "${(Q)PREFIX}" </dev/null 2>/dev/null)
    compadd -V brow -l -d whole_shown -a whole
    compadd -V brow -l -S '' -d begun_shown -a begun
}
if [[ ${funcstack[1]} == _brow-tui ]]; then
    _brow_tui "$@"
else
    compdef _brow_tui brow-tui
fi
