# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mlroll_global_optspecs
    string join \n config= target= output= dry-run reason= timeout= q/quiet v/verbose color= h/help V/version
end

function __fish_mlroll_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mlroll_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mlroll_using_subcommand
    set -l cmd (__fish_mlroll_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mlroll -n "__fish_mlroll_needs_command" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_needs_command" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_needs_command" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_needs_command" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_needs_command" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_needs_command" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_needs_command" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_needs_command" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_needs_command" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_needs_command" -s V -l version -d 'Print version'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "canary" -d 'Shift a share of the traffic to a candidate'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "demo" -d 'See a canary promoted and another rolled back, on clouds simulated in this process'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "deploy" -d 'Make a new revision at zero traffic'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "experiment" -d 'Hold a split until one metric tells which revision is better (A/B test)'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "explain" -d 'Tell why each decision of a watched run fell: gate, query, window, numbers, evidence, rule'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "gate" -d 'Try gates without moving traffic'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "history" -d 'List the runs that were watched, the newest first'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "hold" -d 'Ask a run that is going on to stop advancing and keep its split'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "plan" -d 'Tell what a rollout will do, how long it takes, and what its gates can and cannot see; change nothing'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "promote" -d 'Give the candidate all traffic and make it stable'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "resume" -d 'Go on with a run that was held, interrupted or cut off'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "rollback" -d 'Give all traffic back, now'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "rollout" -d 'Take a candidate through all steps of its service, judged by its gates'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "sandbox" -d 'Serve the clouds on loopback: control planes and metric stores, fed by simulated users'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "shadow" -d 'Mirror a share of the live traffic to a candidate, whose answers nobody sees'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "status" -d 'Show who gets what, who is stable, candidate and previous, and what a run is at'
complete -c mlroll -n "__fish_mlroll_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l pct -d 'The candidate\'s share in percent, such as 10 or 0.5' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l candidate -d 'The revision on trial' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l bake -d 'How long to watch the candidate; needs gates' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l on-interrupt -d 'What an interrupt does while the candidate is watched' -r -f -a "hold\t'Keep the split and stop'
rollback\t'Give stable everything at once'"
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l again -d 'Try a revision again that was rolled back'
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l no-gates -d 'Do not judge, whatever gates are configured'
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l leave-capacity -d 'Leave the candidate the instances that it has'
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l no-wait -d 'Return when the shift is accepted: nothing is watched or judged'
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand canary" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -l backend -d 'Only the part of this backend' -r -f -a "lambda\t'An AWS Lambda alias'
azure-ml\t'An Azure ML online endpoint'
cloud-run\t'A Google Cloud Run service'
sagemaker\t'An Amazon SageMaker endpoint'"
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l image -d 'From this container image, best with its digest (Cloud Run, Lambda; with --model-data also SageMaker)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l zip -d 'From this archive on this machine (Lambda)' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l s3 -d 'From this archive in S3, as s3://BUCKET/KEY or s3://BUCKET/KEY?versionId=ID (Lambda)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l model -d 'From this model, by the name the provider knows it by (SageMaker, Azure ML)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l model-package -d 'From this approved version in the model registry (SageMaker)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l model-data -d 'From this model data in S3, served by --image (SageMaker)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l name -d 'What the new revision is called, where the provider lets that be chosen' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l environment -d 'The environment that the model runs in (Azure ML)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l instance-type -d 'The kind of machine (SageMaker, Azure ML)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l instances -d 'How many machines (SageMaker, Azure ML)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l min-instances -d 'How many instances are kept ready even without traffic (Cloud Run, Lambda)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l smoke -d 'Send this file\'s content to the new revision as one request; unless it answers well, exit with 1' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l smoke-path -d 'Where that request is sent to, such as /v1/models/fraud:predict [default: /] (Cloud Run)' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l from-stable -d 'A copy of the stable revision, with what is named replaced'
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l again -d 'Make it although the same location was deployed before: what is behind it has been overwritten (SageMaker)'
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l discard-previous -d 'Overwrite the `previous` revision, the way back of the last promote, where there is no room for a third'
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l prune -d 'When the new revision is live, delete what earlier deployments made and nothing refers to: endpoint configs and models that mlroll made for this endpoint; never the one in use nor the one before it (SageMaker)'
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand deploy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l pct -d 'The candidate\'s share in percent' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l metric -d 'The metric that decides: a gate of the service by its name, whose limits are not read, or error_rate or availability' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l candidate -d 'The revision on trial' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l bake -d 'How long it lasts at most, in place of the bake of the service' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l size -d 'Requests of both revisions after which it ends undecided, where that is before' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l alpha -d 'The chance of naming a difference where there is none' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l effect -d 'The difference that it is meant to show, such as 0.1 for a tenth; the power is that for it' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l summary -d 'Where to write what it came to' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l on-interrupt -d 'What an interrupt does' -r -f -a "hold\t'Keep the split and stop'
rollback\t'Give stable everything at once'"
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l again -d 'Try a revision again that was rolled back'
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand experiment" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -l verify -d 'Take every step and judge every window again: exit code 0 when each decision comes out the same, bit for bit'
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -f -a "backtest" -d 'Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -f -a "check" -d 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -f -a "power" -d 'Tell how surely and how soon a gate fails a candidate that is worse'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -f -a "replay" -d 'Judge recorded looks, and print the evidence after each as JSON'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and not __fish_seen_subcommand_from backtest check power replay help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l gate -d 'The gate: a name, or with --file one as JSON [default: all of the service]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l file -d 'Windows of a look each, in place of the store: CSV with columns `requests` and `events`, or `value`; or a JSON list of {"requests", "events"}, numbers, or {"buckets"} (null for a window without data); `-` reads standard input' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l since -d 'How much of the past' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l revision -d 'Whose past, in place of the revision in charge' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l pct -d 'The candidate\'s share in percent [default: the first step of the service, else 10]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l regression -d 'How many times as bad the injected regression is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l bake -d 'How long a step bakes, in place of what the service says' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l seed -d 'What all chance is drawn from' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from backtest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l gate -d 'The gate: a name, or one as JSON, such as \'{"metric": "error_rate", "max": "1%"}\', for which no file is needed [default: all of the service that count]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l rps -d 'Requests per second of both revisions together' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l pct -d 'The candidate\'s share in percent' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l base-rate -d 'The share of stable\'s requests that are events, such as 0.5%' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l regression -d 'How many times as bad as stable the candidate is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l bake -d 'How long it bakes, in place of what the service says' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l design-effect -d 'How bursty events are: the factor by which their variance exceeds that of single ones' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l seed -d 'What all chance is drawn from' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from power" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from help" -f -a "backtest" -d 'Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from help" -f -a "check" -d 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from help" -f -a "power" -d 'Tell how surely and how soon a gate fails a candidate that is worse'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from help" -f -a "replay" -d 'Judge recorded looks, and print the evidence after each as JSON'
complete -c mlroll -n "__fish_mlroll_using_subcommand gate; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand hold" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l pct -d 'Plan a canary at this share instead of a rollout' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l candidate -d 'The revision on trial' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l steps -d 'The candidate\'s shares, rising to 100 %, in place of those of the service' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l bake -d 'How long each step must hold, in place of what the service says' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l rps -d 'Requests per second of both revisions together, in place of what the store tells' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l base-rate -d 'The share of stable\'s requests that are events, such as 0.5%, in place of what the store tells' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l regression -d 'The regression to tell of, as times stable\'s rate, such as 2x; else twice what each gate tolerates' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l again -d 'Plan with a revision that was rolled back'
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l no-gates -d 'Plan a run that is not judged'
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l candidate -d 'The candidate, where it was not mlroll that put it in flight' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l force -d 'Skip the gates, and promote a candidate with fewer instances than stable'
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l wait -d 'Wait until the gates pass or fail, for as long as a bake takes, or `--timeout`'
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l no-wait -d 'Return when the shift is accepted, not when it is live'
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand promote" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -l on-interrupt -d 'What an interrupt does' -r -f -a "hold\t'Keep the split and stop'
rollback\t'Give stable everything at once'"
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -l summary -d 'Where to write what it came to, of an experiment' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l to -d 'Go to this revision' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l since -d 'With --all: how long ago a promote may have been [default: 24h]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l all -d 'All services of mlroll.toml: those with a canary in flight or promoted lately'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l no-wait -d 'Return when the shift is accepted, not when it is live'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l candidate -d 'The revision on trial' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l steps -d 'The candidate\'s shares, rising to 100 %, in place of those of the service; such as 10%,50%,100%' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l bake -d 'How long each step must hold, in place of what the service says' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l on-interrupt -d 'What an interrupt does' -r -f -a "hold\t'Keep the split and stop'
rollback\t'Give stable everything at once'"
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l again -d 'Try a revision again that was rolled back'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l no-gates -d 'Do not judge, whatever gates are configured: hold each step for its bake, and promote'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand rollout" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l listen -d 'Where to listen; loopback only' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l scenario -d 'The world to simulate, described in docs/sandbox.md' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l speed -d 'How many of its seconds pass in one of ours' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l seed -d 'What all chance is drawn from [default: the scenario\'s]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l latency -d 'How much later each answer is sent' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l fleet -d 'Add this many Lambda functions, fraud-0001 and so on' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand sandbox" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l pct -d 'The share of the requests that is copied in percent, such as 10' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l candidate -d 'The revision on trial' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l bake -d 'How long to watch the candidate; needs gates' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l no-gates -d 'Do not judge, whatever gates are configured'
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l no-wait -d 'Return when the change is accepted: nothing is watched or judged'
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l off -d 'End mirrored traffic, whoever it goes to'
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand shadow" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -l every -d 'How often to look; at least a second' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -l config -d 'Read this file instead of ./mlroll.toml' -r -F
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -l target -d 'Act on this target; needs no file, and may be given several times' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -l output -d 'How to write the result' -r -f -a "json\t'One JSON document, for scripts'
text\t'Tables, for people'"
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -l reason -d 'Why this is done; shown wherever the result is' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -l timeout -d 'Give up after this time, all told [default: 5m, and 30m more until the split is live]' -r
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -l color -d 'When to colour' -r -f -a "always\t'Always'
auto\t'On a terminal, unless `NO_COLOR` is set'
never\t'Never'"
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -l watch -d 'Look again and again, and show what changes: in place on a terminal, else a line for each change'
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -l dry-run -d 'Print the calls that a run would make, and change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -s q -l quiet -d 'Say nothing but errors'
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -s v -l verbose -d 'Name each request as it is sent'
complete -c mlroll -n "__fish_mlroll_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "canary" -d 'Shift a share of the traffic to a candidate'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "completions" -d 'Print completions for a shell'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "demo" -d 'See a canary promoted and another rolled back, on clouds simulated in this process'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "deploy" -d 'Make a new revision at zero traffic'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "experiment" -d 'Hold a split until one metric tells which revision is better (A/B test)'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "explain" -d 'Tell why each decision of a watched run fell: gate, query, window, numbers, evidence, rule'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "gate" -d 'Try gates without moving traffic'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "history" -d 'List the runs that were watched, the newest first'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "hold" -d 'Ask a run that is going on to stop advancing and keep its split'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "plan" -d 'Tell what a rollout will do, how long it takes, and what its gates can and cannot see; change nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "promote" -d 'Give the candidate all traffic and make it stable'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "resume" -d 'Go on with a run that was held, interrupted or cut off'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "rollback" -d 'Give all traffic back, now'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "rollout" -d 'Take a candidate through all steps of its service, judged by its gates'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "sandbox" -d 'Serve the clouds on loopback: control planes and metric stores, fed by simulated users'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "shadow" -d 'Mirror a share of the live traffic to a candidate, whose answers nobody sees'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "status" -d 'Show who gets what, who is stable, candidate and previous, and what a run is at'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and not __fish_seen_subcommand_from canary completions demo deploy experiment explain gate history hold plan promote resume rollback rollout sandbox shadow status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and __fish_seen_subcommand_from gate" -f -a "backtest" -d 'Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and __fish_seen_subcommand_from gate" -f -a "check" -d 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and __fish_seen_subcommand_from gate" -f -a "power" -d 'Tell how surely and how soon a gate fails a candidate that is worse'
complete -c mlroll -n "__fish_mlroll_using_subcommand help; and __fish_seen_subcommand_from gate" -f -a "replay" -d 'Judge recorded looks, and print the evidence after each as JSON'
