# The demo's worker: works for a moment, then says so on the command line, as any worker would.
# It runs in the task's own workspace, which a second attempt finds as the first one left it.
kanban=$1 town=$2 board=$3 task=$4 profile=$5

wait_for_go() {
    # For a minute at most, and no longer than the demo, however that ends.
    looks=0
    while [ -d "$town" ] && [ ! -e "$town/../go-$board" ] && [ $looks -lt 1200 ]; do
        sleep 0.05
        looks=$((looks + 1))
    done
}
fail_once() {
    [ -e tried ] || { : > tried; echo "this attempt fails"; exit 1; }
}

case $profile in
    patient) wait_for_go ;;
    unlucky) wait_for_go; fail_once ;;
    flaky) sleep 0.2; fail_once ;;
esac
sleep 0.3
exec "$kanban" --root "$town" --board "$board" complete "$task" --summary "done by $profile"
