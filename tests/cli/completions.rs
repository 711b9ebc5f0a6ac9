//! The completions that are checked in are those that the program prints.

use std::path::Path;

use crate::world::World;

#[test]
fn are_up_to_date() {
    let world = World::new();
    for (shell, file) in [
        ("bash", "mlroll.bash"),
        ("elvish", "mlroll.elv"),
        ("fish", "mlroll.fish"),
        ("powershell", "_mlroll.ps1"),
        ("zsh", "_mlroll"),
    ] {
        let printed = world.run(&["completions", shell]).expect(0).stdout;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(file);
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(printed == kept, "{} is stale: mlroll completions {shell} > completions/{file}", path.display());
    }
}
