//! An `experiment` on SageMaker gives its candidate what stable has before its first share, and sets it back where stable gets
//! everything back; where the split stays, so does the capacity. On the sandbox in scaled time.

use serde_json::{Value, json};

use crate::sagemaker_capacity::{bounds, config, scaling, start, variants, writes};
use crate::sagemaker_killed::{Boundary, killed};
use crate::sandbox::{FAILING, HEALTHY, Sandbox};

const UPDATE: &str = "UpdateEndpointWeightsAndCapacities";
const REGISTER: &str = "RegisterScalableTarget";
const SHIFT: [&str; 2] = ["AddTags", UPDATE];
const AB: [&str; 9] = ["experiment", "--pct", "50", "--metric", "error_rate", "--candidate", "b", "--bake", "45m"];

/// Stable `a` has four instances of 2 to 8, `b` one of 1 to 2.
fn staged(candidate: &str, more: &str) -> Sandbox {
    let sandbox = start(candidate, "autoscaling = [2, 8]");
    sandbox.write("mlroll.toml", &config(more));
    scaling(&sandbox, REGISTER, "b", &json!({ "MinCapacity": 1, "MaxCapacity": 2 }));
    sandbox.ask("DELETE", "/_sandbox/requests", "");
    sandbox
}

fn notes(done: &Value) -> String {
    done["targets"][0]["notes"].to_string()
}

/// Four instances for `b` as for `a`, whoever has which share.
fn counts(sandbox: &Sandbox) -> [Value; 2] {
    let all = variants(sandbox);
    [all["a"][0].clone(), all["b"][0].clone()]
}

#[test]
fn the_candidate_has_stables_capacity_before_its_first_share_and_loses_it_where_it_loses() {
    let sandbox = staged(FAILING, "");
    let (code, done) = sandbox.run(&AB);
    assert_eq!((code, done["outcome"].as_str()), (1, Some("rolled_back")), "{done}");
    let back = ["AddTags", REGISTER, UPDATE];
    let expected = [&[REGISTER, UPDATE][..], &SHIFT, &[UPDATE], &back].concat();
    assert_eq!(writes(&sandbox), expected, "{done}");
    assert_eq!(variants(&sandbox), json!({ "a": [4, 100.0], "b": [1, 0.0] }));
    // Nothing was suspended, which the bounds of `a` would show.
    assert_eq!(bounds(&sandbox), json!({ "a": [2, 8, false], "b": [1, 2, false] }));
    assert!(!notes(&done).contains("not set back"), "{done}");
    assert_eq!(sandbox.run(&["explain", "--verify"]).0, 0);
}

/// Nothing is shown, and a person decides: the split stays, and with it what it needs. Then stable gets everything back.
#[test]
fn where_the_split_stays_so_does_the_capacity() {
    let sandbox = staged(HEALTHY, "");
    let typed = [&AB[..], &["--size", "20000", "--alpha", "0.1%"]].concat();
    let (code, done) = sandbox.run(&typed);
    assert_eq!((code, done["outcome"].as_str()), (3, Some("held")), "{done}");
    assert_eq!(writes(&sandbox), [&[REGISTER, UPDATE][..], &SHIFT].concat(), "{done}");
    assert_eq!((counts(&sandbox), bounds(&sandbox)["b"].clone()), ([json!(4), json!(4)], json!([2, 8, false])));
    assert!(notes(&done).contains("the candidate keeps its capacity"), "{done}");

    // It is no claim that keeps others away, nor one that is set back behind the back of whoever takes it over.
    assert_eq!(sandbox.run(&["rollback"]).0, 0);
    assert_eq!(counts(&sandbox), [json!(4), json!(4)]);
    let (code, resumed) = sandbox.run(&["resume"]);
    assert_eq!((code, resumed["outcome"].as_str()), (4, Some("rolled_back")), "{resumed}");
    assert_eq!((counts(&sandbox), bounds(&sandbox)["b"].clone()), ([json!(4), json!(1)], json!([1, 2, false])));
}

/// The candidate is better: it keeps its share, and `promote` is the next word, which finds enough instances.
#[test]
fn one_that_is_better_keeps_its_capacity_for_the_promotion() {
    let sandbox = staged("{ error_rate = 0.0 }", "");
    let (code, done) = sandbox.run(&AB);
    assert_eq!((code, done["outcome"].as_str()), (0, Some("shifted")), "{done}");
    assert_eq!(counts(&sandbox), [json!(4), json!(4)]);
    assert!(notes(&done).contains("the candidate keeps its capacity"), "{done}");
    assert_eq!(sandbox.run(&["resume"]).0, 6, "nothing is left to be done");
    assert_eq!(sandbox.run(&["promote", "--target", "sagemaker:us-east-1/fraud", "--force"]).0, 0);
    assert_eq!(variants(&sandbox)["b"], json!([4, 100.0]));
}

#[test]
fn a_dry_run_tells_the_capacity_and_its_calls_and_a_file_can_turn_it_off() {
    let sandbox = staged(FAILING, "");
    let (code, said) = sandbox.run(&[&AB[..], &["--dry-run"]].concat());
    assert_eq!((code, writes(&sandbox).len()), (0, 0), "{said}");
    let names: Vec<&str> = said["calls"].as_array().unwrap().iter().map(|c| c["operation"].as_str().unwrap()).collect();
    let is_write = |name: &&str| !name.starts_with("Describe") && !name.starts_with("List");
    let written: Vec<&str> = names.iter().copied().filter(is_write).collect();
    assert_eq!(written, [&[REGISTER, UPDATE][..], &SHIFT].concat(), "{said}");
    let notes = notes(&said);
    for part in ["capacity before the first share: b: 1 instances become 4", "where stable gets everything back"] {
        assert!(notes.contains(part), "{part}: {notes}");
    }

    sandbox.write("mlroll.toml", &config("capacity = \"leave\""));
    let (code, done) = sandbox.run(&AB);
    assert_eq!(
        (code, writes(&sandbox)),
        (1, [&SHIFT[..], &[UPDATE, "AddTags"]].concat().iter().map(ToString::to_string).collect()),
        "{done}"
    );
}

/// `kill -9` before and after each write of the way there and of the way back: `resume` leaves what a run leaves that was left alone.
#[test]
fn one_that_was_killed_sets_it_back_too() {
    let at = |api: &str, operation: &str, nth: usize, done: bool| Boundary {
        api: api.to_owned(),
        operation: operation.to_owned(),
        nth,
        done,
    };
    let scaling = "application-autoscaling";
    // Bounds, count, weights there, weights back, bounds, count.
    let writes = [(scaling, REGISTER, 0), ("sagemaker", UPDATE, 0), ("sagemaker", UPDATE, 1), ("sagemaker", UPDATE, 2)];
    let more = [(scaling, REGISTER, 1), ("sagemaker", UPDATE, 3)];
    std::thread::scope(|scope| {
        for (api, operation, nth) in writes.into_iter().chain(more) {
            scope.spawn(move || {
                for done in [false, true] {
                    let boundary = at(api, operation, nth, done);
                    let sandbox = staged(FAILING, "");
                    assert!(killed(&sandbox, &AB, &boundary), "{boundary:?} is never reached");
                    let (code, ended) = sandbox.run(&["resume"]);
                    assert_eq!((code, ended["outcome"].as_str()), (1, Some("rolled_back")), "{boundary:?}: {ended}");
                    assert_eq!(counts(&sandbox), [json!(4), json!(1)], "{boundary:?}: {ended}");
                    assert_eq!(bounds(&sandbox)["b"], json!([1, 2, false]), "{boundary:?}: {ended}");
                    assert_eq!(variants(&sandbox)["b"][1], 0.0, "{boundary:?}: {ended}");
                }
            });
        }
    });
}
