//! What the workers of a case do, and how two of one task are found out.

/// Completes its task at once.
pub(crate) const DONE: &str = "\"$2\" complete \"$HERMES_KANBAN_TASK\"";

/// Waits until there is a file `go` or `go.TASK` in the root, and completes its task.
pub(crate) const WAITS: &str = "\
while [ -d \"$1/kanban\" ] && [ ! -e \"$1/go\" ] && [ ! -e \"$1/go.$HERMES_KANBAN_TASK\" ]; do sleep 0.05; done
\"$2\" complete \"$HERMES_KANBAN_TASK\"";

/// Runs before each script. The worker looks for live ones of its own task before it writes its own pid down: whoever comes second
/// sees the first. `$1/worker.*` is where the installation's end looks for what still runs.
const PREAMBLE: &str = "\
mkdir -p \"$1/../live\"
for seen in \"$1/../live/$HERMES_KANBAN_TASK\".*; do
    if [ -f \"$seen\" ] && kill -0 \"$(cat \"$seen\")\" 2>/dev/null; then
        echo \"$HERMES_KANBAN_TASK: $(cat \"$seen\") and $$\" >>\"$1/../doubles\"
    fi
done
echo $$ >\"$1/../live/$HERMES_KANBAN_TASK.$HERMES_KANBAN_RUN_ID\"
echo $$ >\"$1/worker.$HERMES_KANBAN_TASK\"
";

/// The words of a worker that runs `script` in `sh`; `$1` is the root, `$2` the program.
pub(super) fn command(script: &str) -> [String; 6] {
    [
        "sh",
        "-c",
        &format!("{PREAMBLE}{script}\n"),
        "worker",
        "{root}",
        env!("CARGO_BIN_EXE_kanban"),
    ]
    .map(str::to_owned)
}
