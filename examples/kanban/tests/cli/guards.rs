//! Connections that are kept open are bounded by what the process may open, and `status` names the boards that have none.

use std::process::Command;

use super::house::{House, Result};

#[test]
fn boards_beyond_a_quarter_of_the_descriptors_less_a_reserve_are_served_without_an_open_connection()
-> Result {
    const BOARDS: usize = 40;
    const DESCRIPTORS: usize = 100;
    const GUARDED: usize = (DESCRIPTORS - 64) / 4;
    let house = House::with_board()?;
    house.settings_with("true", "guard_connections_max = 1000")?;
    for n in 1..BOARDS {
        house.ok(&["init", &format!("board-{n:02}")])?;
    }
    // The limit is the shell's, and so the program's.
    let kanban = house.command(&["run", "--once"]);
    let mut limited = Command::new("sh");
    limited
        .args([
            "-c",
            &format!("ulimit -n {DESCRIPTORS} && exec \"$0\" \"$@\""),
        ])
        .arg(kanban.get_program())
        .args(kanban.get_args());
    for (name, value) in kanban.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    let output = limited.output()?;
    assert_eq!(output.status.code(), Some(0), "{output:?}");

    let status = house.say(&["status", "--json"])?.json()?;
    let boards = status["boards"].as_array().ok_or("no boards")?;
    let guarded = boards.iter().filter(|board| board["guarded"] == true);
    assert_eq!((boards.len(), guarded.count()), (BOARDS, GUARDED));
    assert!(
        boards.iter().all(|board| board["state"] == "ok"),
        "{status}"
    );
    let said = house.say(&["status"])?.out;
    let line = said
        .lines()
        .find(|line| line.starts_with("no connection is kept open to: "));
    let names = line.ok_or("they are not named")?.matches("board-").count();
    assert_eq!(names, BOARDS - GUARDED, "{said}");
    Ok(())
}
