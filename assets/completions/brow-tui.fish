# Completions of brow-tui for fish. The program itself is asked; what it answers is quoted by fish, and never run.
function __brow_tui
    set -l words (commandline --current-process --tokenize --cut-at-cursor)
    set -l current (commandline --current-token --cut-at-cursor)
    BROW_COMPLETE=fish command brow-tui -- $words "$current" </dev/null 2>/dev/null
end
complete --keep-order --exclusive --command brow-tui --arguments '(__brow_tui)'
