
use builtin;
use str;

set edit:completion:arg-completer[mlroll] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'mlroll'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'mlroll'= {
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand canary 'Shift a share of the traffic to a candidate'
            cand completions 'Print completions for a shell'
            cand demo 'See a canary promoted and another rolled back, on clouds simulated in this process'
            cand deploy 'Make a new revision at zero traffic'
            cand experiment 'Hold a split until one metric tells which revision is better (A/B test)'
            cand explain 'Tell why each decision of a watched run fell: gate, query, window, numbers, evidence, rule'
            cand gate 'Try gates without moving traffic'
            cand history 'List the runs that were watched, the newest first'
            cand hold 'Ask a run that is going on to stop advancing and keep its split'
            cand plan 'Tell what a rollout will do, how long it takes, and what its gates can and cannot see; change nothing'
            cand promote 'Give the candidate all traffic and make it stable'
            cand resume 'Go on with a run that was held, interrupted or cut off'
            cand rollback 'Give all traffic back, now'
            cand rollout 'Take a candidate through all steps of its service, judged by its gates'
            cand sandbox 'Serve the clouds on loopback: control planes and metric stores, fed by simulated users'
            cand shadow 'Mirror a share of the live traffic to a candidate, whose answers nobody sees'
            cand status 'Show who gets what, who is stable, candidate and previous, and what a run is at'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mlroll;canary'= {
            cand --pct 'The candidate''s share in percent, such as 10 or 0.5'
            cand --candidate 'The revision on trial'
            cand --bake 'How long to watch the candidate; needs gates'
            cand --on-interrupt 'What an interrupt does while the candidate is watched'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --again 'Try a revision again that was rolled back'
            cand --no-gates 'Do not judge, whatever gates are configured'
            cand --leave-capacity 'Leave the candidate the instances that it has'
            cand --no-wait 'Return when the shift is accepted: nothing is watched or judged'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;completions'= {
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;demo'= {
            cand --backend 'Only the part of this backend'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;deploy'= {
            cand --image 'From this container image, best with its digest (Cloud Run, Lambda; with --model-data also SageMaker)'
            cand --zip 'From this archive on this machine (Lambda)'
            cand --s3 'From this archive in S3, as s3://BUCKET/KEY or s3://BUCKET/KEY?versionId=ID (Lambda)'
            cand --model 'From this model, by the name the provider knows it by (SageMaker, Azure ML)'
            cand --model-package 'From this approved version in the model registry (SageMaker)'
            cand --model-data 'From this model data in S3, served by --image (SageMaker)'
            cand --name 'What the new revision is called, where the provider lets that be chosen'
            cand --environment 'The environment that the model runs in (Azure ML)'
            cand --instance-type 'The kind of machine (SageMaker, Azure ML)'
            cand --instances 'How many machines (SageMaker, Azure ML)'
            cand --min-instances 'How many instances are kept ready even without traffic (Cloud Run, Lambda)'
            cand --smoke 'Send this file''s content to the new revision as one request; unless it answers well, exit with 1'
            cand --smoke-path 'Where that request is sent to, such as /v1/models/fraud:predict [default: /] (Cloud Run)'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --from-stable 'A copy of the stable revision, with what is named replaced'
            cand --again 'Make it although the same location was deployed before: what is behind it has been overwritten (SageMaker)'
            cand --discard-previous 'Overwrite the `previous` revision, the way back of the last promote, where there is no room for a third'
            cand --prune 'When the new revision is live, delete what earlier deployments made and nothing refers to: endpoint configs and models that mlroll made for this endpoint; never the one in use nor the one before it (SageMaker)'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;experiment'= {
            cand --pct 'The candidate''s share in percent'
            cand --metric 'The metric that decides: a gate of the service by its name, whose limits are not read, or error_rate or availability'
            cand --candidate 'The revision on trial'
            cand --bake 'How long it lasts at most, in place of the bake of the service'
            cand --size 'Requests of both revisions after which it ends undecided, where that is before'
            cand --alpha 'The chance of naming a difference where there is none'
            cand --effect 'The difference that it is meant to show, such as 0.1 for a tenth; the power is that for it'
            cand --summary 'Where to write what it came to'
            cand --on-interrupt 'What an interrupt does'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --again 'Try a revision again that was rolled back'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;explain'= {
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --verify 'Take every step and judge every window again: exit code 0 when each decision comes out the same, bit for bit'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;gate'= {
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand backtest 'Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression'
            cand check 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing'
            cand power 'Tell how surely and how soon a gate fails a candidate that is worse'
            cand replay 'Judge recorded looks, and print the evidence after each as JSON'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mlroll;gate;backtest'= {
            cand --gate 'The gate: a name, or with --file one as JSON [default: all of the service]'
            cand --file 'Windows of a look each, in place of the store: CSV with columns `requests` and `events`, or `value`; or a JSON list of {"requests", "events"}, numbers, or {"buckets"} (null for a window without data); `-` reads standard input'
            cand --since 'How much of the past'
            cand --revision 'Whose past, in place of the revision in charge'
            cand --pct 'The candidate''s share in percent [default: the first step of the service, else 10]'
            cand --regression 'How many times as bad the injected regression is'
            cand --bake 'How long a step bakes, in place of what the service says'
            cand --seed 'What all chance is drawn from'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;gate;check'= {
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;gate;power'= {
            cand --gate 'The gate: a name, or one as JSON, such as ''{"metric": "error_rate", "max": "1%"}'', for which no file is needed [default: all of the service that count]'
            cand --rps 'Requests per second of both revisions together'
            cand --pct 'The candidate''s share in percent'
            cand --base-rate 'The share of stable''s requests that are events, such as 0.5%'
            cand --regression 'How many times as bad as stable the candidate is'
            cand --bake 'How long it bakes, in place of what the service says'
            cand --design-effect 'How bursty events are: the factor by which their variance exceeds that of single ones'
            cand --seed 'What all chance is drawn from'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;gate;replay'= {
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;gate;help'= {
            cand backtest 'Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression'
            cand check 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing'
            cand power 'Tell how surely and how soon a gate fails a candidate that is worse'
            cand replay 'Judge recorded looks, and print the evidence after each as JSON'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mlroll;gate;help;backtest'= {
        }
        &'mlroll;gate;help;check'= {
        }
        &'mlroll;gate;help;power'= {
        }
        &'mlroll;gate;help;replay'= {
        }
        &'mlroll;gate;help;help'= {
        }
        &'mlroll;history'= {
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;hold'= {
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;plan'= {
            cand --pct 'Plan a canary at this share instead of a rollout'
            cand --candidate 'The revision on trial'
            cand --steps 'The candidate''s shares, rising to 100 %, in place of those of the service'
            cand --bake 'How long each step must hold, in place of what the service says'
            cand --rps 'Requests per second of both revisions together, in place of what the store tells'
            cand --base-rate 'The share of stable''s requests that are events, such as 0.5%, in place of what the store tells'
            cand --regression 'The regression to tell of, as times stable''s rate, such as 2x; else twice what each gate tolerates'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --again 'Plan with a revision that was rolled back'
            cand --no-gates 'Plan a run that is not judged'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;promote'= {
            cand --candidate 'The candidate, where it was not mlroll that put it in flight'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --force 'Skip the gates, and promote a candidate with fewer instances than stable'
            cand --wait 'Wait until the gates pass or fail, for as long as a bake takes, or `--timeout`'
            cand --no-wait 'Return when the shift is accepted, not when it is live'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;resume'= {
            cand --on-interrupt 'What an interrupt does'
            cand --summary 'Where to write what it came to, of an experiment'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;rollback'= {
            cand --to 'Go to this revision'
            cand --since 'With --all: how long ago a promote may have been [default: 24h]'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --all 'All services of mlroll.toml: those with a canary in flight or promoted lately'
            cand --no-wait 'Return when the shift is accepted, not when it is live'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;rollout'= {
            cand --candidate 'The revision on trial'
            cand --steps 'The candidate''s shares, rising to 100 %, in place of those of the service; such as 10%,50%,100%'
            cand --bake 'How long each step must hold, in place of what the service says'
            cand --on-interrupt 'What an interrupt does'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --again 'Try a revision again that was rolled back'
            cand --no-gates 'Do not judge, whatever gates are configured: hold each step for its bake, and promote'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;sandbox'= {
            cand --listen 'Where to listen; loopback only'
            cand --scenario 'The world to simulate, described in docs/sandbox.md'
            cand --speed 'How many of its seconds pass in one of ours'
            cand --seed 'What all chance is drawn from [default: the scenario''s]'
            cand --latency 'How much later each answer is sent'
            cand --fleet 'Add this many Lambda functions, fraud-0001 and so on'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;shadow'= {
            cand --pct 'The share of the requests that is copied in percent, such as 10'
            cand --candidate 'The revision on trial'
            cand --bake 'How long to watch the candidate; needs gates'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --no-gates 'Do not judge, whatever gates are configured'
            cand --no-wait 'Return when the change is accepted: nothing is watched or judged'
            cand --off 'End mirrored traffic, whoever it goes to'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;status'= {
            cand --every 'How often to look; at least a second'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --watch 'Look again and again, and show what changes: in place on a terminal, else a line for each change'
            cand --dry-run 'Print the calls that a run would make, and change nothing'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Name each request as it is sent'
            cand --verbose 'Name each request as it is sent'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'mlroll;help'= {
            cand canary 'Shift a share of the traffic to a candidate'
            cand completions 'Print completions for a shell'
            cand demo 'See a canary promoted and another rolled back, on clouds simulated in this process'
            cand deploy 'Make a new revision at zero traffic'
            cand experiment 'Hold a split until one metric tells which revision is better (A/B test)'
            cand explain 'Tell why each decision of a watched run fell: gate, query, window, numbers, evidence, rule'
            cand gate 'Try gates without moving traffic'
            cand history 'List the runs that were watched, the newest first'
            cand hold 'Ask a run that is going on to stop advancing and keep its split'
            cand plan 'Tell what a rollout will do, how long it takes, and what its gates can and cannot see; change nothing'
            cand promote 'Give the candidate all traffic and make it stable'
            cand resume 'Go on with a run that was held, interrupted or cut off'
            cand rollback 'Give all traffic back, now'
            cand rollout 'Take a candidate through all steps of its service, judged by its gates'
            cand sandbox 'Serve the clouds on loopback: control planes and metric stores, fed by simulated users'
            cand shadow 'Mirror a share of the live traffic to a candidate, whose answers nobody sees'
            cand status 'Show who gets what, who is stable, candidate and previous, and what a run is at'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mlroll;help;canary'= {
        }
        &'mlroll;help;completions'= {
        }
        &'mlroll;help;demo'= {
        }
        &'mlroll;help;deploy'= {
        }
        &'mlroll;help;experiment'= {
        }
        &'mlroll;help;explain'= {
        }
        &'mlroll;help;gate'= {
            cand backtest 'Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression'
            cand check 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing'
            cand power 'Tell how surely and how soon a gate fails a candidate that is worse'
            cand replay 'Judge recorded looks, and print the evidence after each as JSON'
        }
        &'mlroll;help;gate;backtest'= {
        }
        &'mlroll;help;gate;check'= {
        }
        &'mlroll;help;gate;power'= {
        }
        &'mlroll;help;gate;replay'= {
        }
        &'mlroll;help;history'= {
        }
        &'mlroll;help;hold'= {
        }
        &'mlroll;help;plan'= {
        }
        &'mlroll;help;promote'= {
        }
        &'mlroll;help;resume'= {
        }
        &'mlroll;help;rollback'= {
        }
        &'mlroll;help;rollout'= {
        }
        &'mlroll;help;sandbox'= {
        }
        &'mlroll;help;shadow'= {
        }
        &'mlroll;help;status'= {
        }
        &'mlroll;help;help'= {
        }
    ]
    $completions[$command]
}
