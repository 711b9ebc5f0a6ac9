//! `kill -9` at each call of a rollout on SageMaker whose candidate is bad, before and after it is carried out, and then `resume`,
//! or `rollback` typed by hand before that: what is left is what a run that was left alone leaves.

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::sagemaker_capacity::{bounds, variants};
use crate::sagemaker_deploy::aws;
use crate::sagemaker_killed::{Boundary, Log, boundaries, is_read, killed, log, staged, tag};
use crate::sandbox::{FAILING, HEALTHY, Sandbox};

const FRAUD: &str = "sagemaker:us-east-1/fraud";
const ROLLOUT: [&str; 3] = ["rollout", "--candidate", "b"];

/// Stable `a` has three instances and bounds of its own; `b` has one of each, and answers one request in twenty with an error.
fn start() -> Sandbox {
    let world = format!(
        "seed = 7\n[cloudwatch]\ndelay = '60s'\n[sagemaker]\nupdate = '10s'\nautoscaling = [2, 8]\n[targets.\"{FRAUD}\"]\n\
         requests_per_second = 200\nstable = \"a\"\n[targets.\"{FRAUD}\".revisions]\na = {HEALTHY}\nb = {FAILING}\n"
    );
    let config = format!(
        "[services.fraud]\ntarget = \"{FRAUD}\"\nsteps = [\"10%\", \"100%\"]\nbake = \"45m\"\n\
         [services.fraud.metrics]\nsource = \"cloudwatch\"\n\
         [[services.fraud.gates]]\nmetric = \"error_rate\"\nmax_increase = {{ ratio = 1.5, abs = \"0.2%\" }}\n"
    );
    staged(&world, &config)
}

/// Who goes on after the kill.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Next {
    Resumes,
    /// A person who wants stable to have everything now, and what the run still holds is set back after that.
    RollsBack,
}

/// What is left.
#[derive(Debug, PartialEq)]
struct End {
    /// Instances, and whether it has all of the traffic.
    variants: Vec<(u64, bool)>,
    bounds: Value,
    tag: String,
    config: Value,
}

fn end(sandbox: &Sandbox) -> End {
    let endpoint = aws(sandbox, "DescribeEndpoint", &json!({ "EndpointName": "fraud" }));
    assert_eq!(endpoint["EndpointStatus"], "InService", "{endpoint}");
    let all = variants(sandbox);
    let of = |name: &str| (all[name][0].as_u64().unwrap(), all[name][1].as_f64().unwrap() > 0.0);
    End {
        variants: vec![of("a"), of("b")],
        bounds: bounds(sandbox),
        tag: tag(sandbox, &endpoint),
        config: endpoint["EndpointConfigName"].clone(),
    }
}

/// Whoever goes on, the candidate never gets everything, and nothing is deleted or made.
fn only_moves(sandbox: &Sandbox, boundary: Option<&Boundary>) -> Log {
    let log = log(sandbox);
    let mends = ["AddTags", "DeleteTags", "RegisterScalableTarget", "UpdateEndpointWeightsAndCapacities"];
    let other: Vec<_> = log.iter().filter(|(_, name)| !is_read(name) && !mends.contains(&name.as_str())).collect();
    assert!(other.is_empty(), "{boundary:?}: {other:?}");
    log
}

/// A rollout that is killed and gone on with; `None` where it never gets to the boundary.
fn play(boundary: Option<&(Boundary, Next)>) -> Option<(End, Log)> {
    let sandbox = start();
    let Some((boundary, next)) = boundary else {
        let (code, done) = sandbox.run(&ROLLOUT);
        assert_eq!((code, done["outcome"].as_str()), (1, Some("rolled_back")), "{done}");
        return Some((end(&sandbox), only_moves(&sandbox, None)));
    };
    if !killed(&sandbox, &ROLLOUT, boundary) {
        return None;
    }
    if *next == Next::RollsBack {
        let (code, back) = sandbox.run(&["rollback", "fraud"]);
        // Where nothing was shifted yet there is nothing to take back.
        assert!(
            matches!((code, back["outcome"].as_str()), (0, Some("rolled_back" | "unchanged")) | (6, _)),
            "{boundary:?}: {back}"
        );
        let all = variants(&sandbox);
        assert!(all["a"][1] != 0.0 && all["b"][1] == 0.0, "{boundary:?}: {back} {all}");
    }
    let (code, done) = sandbox.run(&["resume"]);
    let (code, done) = match (code, next) {
        // Before there is a journal there is nothing to resume: then it begins anew.
        (6, Next::Resumes) => sandbox.run(&ROLLOUT),
        // And a person leaves it at that.
        (6, Next::RollsBack) => {
            let left = end(&sandbox);
            assert_eq!(left.tag, "", "{boundary:?}: {done}");
            return Some((End { tag: ROLLED_BACK.to_owned(), ..left }, only_moves(&sandbox, Some(boundary))));
        }
        _ => (code, done),
    };
    // 4: somebody else, who is that person, rolled it back.
    let expected: &[i32] = if *next == Next::RollsBack { &[1, 4] } else { &[1] };
    assert!(expected.contains(&code) && done["outcome"] == "rolled_back", "{boundary:?} {next:?}: {code} {done}");
    Some((end(&sandbox), only_moves(&sandbox, Some(boundary))))
}

const ROLLED_BACK: &str = "mlroll v1 state=rolled_back stable=a bad=b";

#[test]
fn at_each_call_of_a_rollout_that_fails() {
    let (whole, log) = play(None).unwrap();
    assert_eq!((whole.variants.as_slice(), whole.tag.as_str()), (&[(3, true), (1, false)][..], ROLLED_BACK));
    assert_eq!(whole.bounds, json!({ "a": [2, 8, false], "b": [1, 1, false] }));
    let all = boundaries(&log);
    let writes = all.iter().filter(|boundary| !is_read(&boundary.operation));
    assert_eq!(writes.count(), 2 * (4 + 4 + 2), "{all:?}");
    // By hand after each write that was carried out; whoever resumes goes the same way by itself.
    let by_hand = all.iter().filter(|boundary| boundary.done).cloned().map(|boundary| (boundary, Next::RollsBack));
    let by_hand: Vec<_> = by_hand.collect();
    let all = all.into_iter().map(|boundary| (boundary, Next::Resumes));
    let queue = Mutex::new(all.chain(by_hand).collect::<Vec<_>>());
    let missed = Mutex::new(Vec::new());
    let next = || queue.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(boundary) = next() {
                    match play(Some(&boundary)) {
                        Some((end, _)) => assert_eq!(end, whole, "{boundary:?}"),
                        None => missed.lock().unwrap().push(boundary),
                    }
                }
            });
        }
    });
    // How often a busy endpoint is looked at depends on the machine; what is written does not.
    let missed = missed.into_inner().unwrap();
    assert!(missed.iter().all(|(boundary, _)| is_read(&boundary.operation) && boundary.nth > 0), "{missed:?}");
}
