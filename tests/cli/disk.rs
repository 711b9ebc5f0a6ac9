//! A journal that cannot be written at the moment a gate fails: traffic goes back all the same.
#![cfg(target_os = "linux")]

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::scaled::{FastClock, GATES, Reply, Store, config, healthy, share};
use crate::watched::end;
use crate::world::World;

/// Somebody who is not root, for whom permissions count.
const NOBODY: u32 = 65_534;

const PLAN: &str = "steps = [\"10%\", \"100%\"]\nbake = \"2h\"\nmin_bake = \"2h\"\nwarm_up = \"0s\"\nlook = \"60s\"";

/// A rollout whose candidate turns bad the moment that `spoil`, given the journal and the process, has done its work.
fn rolled_back_when(as_nobody: bool, spoil: impl Fn(&PathBuf, u32)) {
    let clock = FastClock::start(600.0);
    let world = Arc::new(World::new().set("MLROLL_CLOCK", &clock.url));
    let bad = Arc::new(AtomicBool::new(false));
    let (alias, turned) = (Arc::clone(&world), Arc::clone(&bad));
    let store = Store::start(move |asked| {
        let mut body = healthy(asked, 6000.0 * share(&alias, &asked.revision).max(0.01));
        if turned.load(Ordering::SeqCst) && asked.revision == "3" {
            for one in body["data"]["result"].as_array_mut().unwrap() {
                if one["metric"]["mlroll"] == "errors0" {
                    one["value"][1] = json!("300");
                }
            }
        }
        Reply::Body(body)
    });
    world.write("mlroll.toml", &config(store.port, PLAN, GATES));
    let mut command = world.command(&["rollout", "--candidate", "3", "--output", "json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if as_nobody {
        for path in [world.path().to_owned(), world.path().join("home")] {
            chown(path, Some(NOBODY), None).unwrap();
        }
        command.uid(NOBODY);
    }
    let child = command.spawn().unwrap_or_else(|_| {
        // Others may not see the folder that it was built in.
        let copy = world.path().join("mlroll");
        std::fs::copy(command.get_program(), &copy).unwrap();
        let mut again = Command::new(copy);
        let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        again.args(command.get_args()).env_clear().envs(set).current_dir(world.path()).stdin(Stdio::null());
        again.stdout(Stdio::piped()).stderr(Stdio::piped()).uid(NOBODY).spawn().unwrap()
    });
    let started = Instant::now();
    // A few looks were good, and are written down.
    let journal = loop {
        assert!(started.elapsed() < Duration::from_secs(180), "no look is written down: {:?}", end(child).code);
        std::thread::sleep(Duration::from_millis(20));
        let journals = std::fs::read_dir(world.path().join(".mlroll")).into_iter().flatten().flatten();
        let found = journals.map(|entry| entry.path()).find(|path| path.extension().is_some_and(|e| e == "jsonl"));
        let looks = |path: &PathBuf| std::fs::read_to_string(path).unwrap_or_default().matches("\"judged\":[").count();
        if let Some(path) = found.filter(|path| looks(path) > 3) {
            break path;
        }
    };
    spoil(&journal, child.id());
    let written = std::fs::metadata(&journal).unwrap().len();
    bad.store(true, Ordering::SeqCst);
    let ran = end(child).expect(1);
    ran.says("cannot be written").says("a rollback goes on without it");
    assert_eq!((world.split().as_str(), &ran.json()["error"]["kind"]), ("2", &json!("gate_failed")));
    let left = std::fs::metadata(&journal).unwrap().len();
    assert!(left <= written + 4096, "it was written on: {written}, {left}");
}

/// A limit on the size of files stands for a full disk: what is written beyond it fails in the same place.
#[test]
fn a_full_disk_does_not_stop_the_rollback() {
    rolled_back_when(false, |journal, process| {
        let limit = std::fs::metadata(journal).unwrap().len();
        let status =
            Command::new("prlimit").args([&format!("--pid={process}"), &format!("--fsize={limit}:{limit}")]).status();
        assert!(status.unwrap().success());
    });
}

#[test]
fn a_folder_that_became_read_only_does_not_stop_the_rollback() {
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    rolled_back_when(is_root, |journal, _| {
        std::fs::set_permissions(journal, std::fs::Permissions::from_mode(0o444)).unwrap();
        std::fs::set_permissions(journal.parent().unwrap(), std::fs::Permissions::from_mode(0o555)).unwrap();
    });
}
