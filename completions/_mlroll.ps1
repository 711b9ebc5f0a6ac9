
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'mlroll' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'mlroll'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'mlroll' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('canary', 'canary', [CompletionResultType]::ParameterValue, 'Shift a share of the traffic to a candidate')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'See a canary promoted and another rolled back, on clouds simulated in this process')
            [CompletionResult]::new('deploy', 'deploy', [CompletionResultType]::ParameterValue, 'Make a new revision at zero traffic')
            [CompletionResult]::new('experiment', 'experiment', [CompletionResultType]::ParameterValue, 'Hold a split until one metric tells which revision is better (A/B test)')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Tell why each decision of a watched run fell: gate, query, window, numbers, evidence, rule')
            [CompletionResult]::new('gate', 'gate', [CompletionResultType]::ParameterValue, 'Try gates without moving traffic')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'List the runs that were watched, the newest first')
            [CompletionResult]::new('hold', 'hold', [CompletionResultType]::ParameterValue, 'Ask a run that is going on to stop advancing and keep its split')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Tell what a rollout will do, how long it takes, and what its gates can and cannot see; change nothing')
            [CompletionResult]::new('promote', 'promote', [CompletionResultType]::ParameterValue, 'Give the candidate all traffic and make it stable')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Go on with a run that was held, interrupted or cut off')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Give all traffic back, now')
            [CompletionResult]::new('rollout', 'rollout', [CompletionResultType]::ParameterValue, 'Take a candidate through all steps of its service, judged by its gates')
            [CompletionResult]::new('sandbox', 'sandbox', [CompletionResultType]::ParameterValue, 'Serve the clouds on loopback: control planes and metric stores, fed by simulated users')
            [CompletionResult]::new('shadow', 'shadow', [CompletionResultType]::ParameterValue, 'Mirror a share of the live traffic to a candidate, whose answers nobody sees')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show who gets what, who is stable, candidate and previous, and what a run is at')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mlroll;canary' {
            [CompletionResult]::new('--pct', '--pct', [CompletionResultType]::ParameterName, 'The candidate''s share in percent, such as 10 or 0.5')
            [CompletionResult]::new('--candidate', '--candidate', [CompletionResultType]::ParameterName, 'The revision on trial')
            [CompletionResult]::new('--bake', '--bake', [CompletionResultType]::ParameterName, 'How long to watch the candidate; needs gates')
            [CompletionResult]::new('--on-interrupt', '--on-interrupt', [CompletionResultType]::ParameterName, 'What an interrupt does while the candidate is watched')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Try a revision again that was rolled back')
            [CompletionResult]::new('--no-gates', '--no-gates', [CompletionResultType]::ParameterName, 'Do not judge, whatever gates are configured')
            [CompletionResult]::new('--leave-capacity', '--leave-capacity', [CompletionResultType]::ParameterName, 'Leave the candidate the instances that it has')
            [CompletionResult]::new('--no-wait', '--no-wait', [CompletionResultType]::ParameterName, 'Return when the shift is accepted: nothing is watched or judged')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;completions' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;demo' {
            [CompletionResult]::new('--backend', '--backend', [CompletionResultType]::ParameterName, 'Only the part of this backend')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;deploy' {
            [CompletionResult]::new('--image', '--image', [CompletionResultType]::ParameterName, 'From this container image, best with its digest (Cloud Run, Lambda; with --model-data also SageMaker)')
            [CompletionResult]::new('--zip', '--zip', [CompletionResultType]::ParameterName, 'From this archive on this machine (Lambda)')
            [CompletionResult]::new('--s3', '--s3', [CompletionResultType]::ParameterName, 'From this archive in S3, as s3://BUCKET/KEY or s3://BUCKET/KEY?versionId=ID (Lambda)')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'From this model, by the name the provider knows it by (SageMaker, Azure ML)')
            [CompletionResult]::new('--model-package', '--model-package', [CompletionResultType]::ParameterName, 'From this approved version in the model registry (SageMaker)')
            [CompletionResult]::new('--model-data', '--model-data', [CompletionResultType]::ParameterName, 'From this model data in S3, served by --image (SageMaker)')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'What the new revision is called, where the provider lets that be chosen')
            [CompletionResult]::new('--environment', '--environment', [CompletionResultType]::ParameterName, 'The environment that the model runs in (Azure ML)')
            [CompletionResult]::new('--instance-type', '--instance-type', [CompletionResultType]::ParameterName, 'The kind of machine (SageMaker, Azure ML)')
            [CompletionResult]::new('--instances', '--instances', [CompletionResultType]::ParameterName, 'How many machines (SageMaker, Azure ML)')
            [CompletionResult]::new('--min-instances', '--min-instances', [CompletionResultType]::ParameterName, 'How many instances are kept ready even without traffic (Cloud Run, Lambda)')
            [CompletionResult]::new('--smoke', '--smoke', [CompletionResultType]::ParameterName, 'Send this file''s content to the new revision as one request; unless it answers well, exit with 1')
            [CompletionResult]::new('--smoke-path', '--smoke-path', [CompletionResultType]::ParameterName, 'Where that request is sent to, such as /v1/models/fraud:predict [default: /] (Cloud Run)')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--from-stable', '--from-stable', [CompletionResultType]::ParameterName, 'A copy of the stable revision, with what is named replaced')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Make it although the same location was deployed before: what is behind it has been overwritten (SageMaker)')
            [CompletionResult]::new('--discard-previous', '--discard-previous', [CompletionResultType]::ParameterName, 'Overwrite the `previous` revision, the way back of the last promote, where there is no room for a third')
            [CompletionResult]::new('--prune', '--prune', [CompletionResultType]::ParameterName, 'When the new revision is live, delete what earlier deployments made and nothing refers to: endpoint configs and models that mlroll made for this endpoint; never the one in use nor the one before it (SageMaker)')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;experiment' {
            [CompletionResult]::new('--pct', '--pct', [CompletionResultType]::ParameterName, 'The candidate''s share in percent')
            [CompletionResult]::new('--metric', '--metric', [CompletionResultType]::ParameterName, 'The metric that decides: a gate of the service by its name, whose limits are not read, or error_rate or availability')
            [CompletionResult]::new('--candidate', '--candidate', [CompletionResultType]::ParameterName, 'The revision on trial')
            [CompletionResult]::new('--bake', '--bake', [CompletionResultType]::ParameterName, 'How long it lasts at most, in place of the bake of the service')
            [CompletionResult]::new('--size', '--size', [CompletionResultType]::ParameterName, 'Requests of both revisions after which it ends undecided, where that is before')
            [CompletionResult]::new('--alpha', '--alpha', [CompletionResultType]::ParameterName, 'The chance of naming a difference where there is none')
            [CompletionResult]::new('--effect', '--effect', [CompletionResultType]::ParameterName, 'The difference that it is meant to show, such as 0.1 for a tenth; the power is that for it')
            [CompletionResult]::new('--summary', '--summary', [CompletionResultType]::ParameterName, 'Where to write what it came to')
            [CompletionResult]::new('--on-interrupt', '--on-interrupt', [CompletionResultType]::ParameterName, 'What an interrupt does')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Try a revision again that was rolled back')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;explain' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--verify', '--verify', [CompletionResultType]::ParameterName, 'Take every step and judge every window again: exit code 0 when each decision comes out the same, bit for bit')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;gate' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('backtest', 'backtest', [CompletionResultType]::ParameterValue, 'Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing')
            [CompletionResult]::new('power', 'power', [CompletionResultType]::ParameterValue, 'Tell how surely and how soon a gate fails a candidate that is worse')
            [CompletionResult]::new('replay', 'replay', [CompletionResultType]::ParameterValue, 'Judge recorded looks, and print the evidence after each as JSON')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mlroll;gate;backtest' {
            [CompletionResult]::new('--gate', '--gate', [CompletionResultType]::ParameterName, 'The gate: a name, or with --file one as JSON [default: all of the service]')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'Windows of a look each, in place of the store: CSV with columns `requests` and `events`, or `value`; or a JSON list of {"requests", "events"}, numbers, or {"buckets"} (null for a window without data); `-` reads standard input')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'How much of the past')
            [CompletionResult]::new('--revision', '--revision', [CompletionResultType]::ParameterName, 'Whose past, in place of the revision in charge')
            [CompletionResult]::new('--pct', '--pct', [CompletionResultType]::ParameterName, 'The candidate''s share in percent [default: the first step of the service, else 10]')
            [CompletionResult]::new('--regression', '--regression', [CompletionResultType]::ParameterName, 'How many times as bad the injected regression is')
            [CompletionResult]::new('--bake', '--bake', [CompletionResultType]::ParameterName, 'How long a step bakes, in place of what the service says')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'What all chance is drawn from')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;gate;check' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;gate;power' {
            [CompletionResult]::new('--gate', '--gate', [CompletionResultType]::ParameterName, 'The gate: a name, or one as JSON, such as ''{"metric": "error_rate", "max": "1%"}'', for which no file is needed [default: all of the service that count]')
            [CompletionResult]::new('--rps', '--rps', [CompletionResultType]::ParameterName, 'Requests per second of both revisions together')
            [CompletionResult]::new('--pct', '--pct', [CompletionResultType]::ParameterName, 'The candidate''s share in percent')
            [CompletionResult]::new('--base-rate', '--base-rate', [CompletionResultType]::ParameterName, 'The share of stable''s requests that are events, such as 0.5%')
            [CompletionResult]::new('--regression', '--regression', [CompletionResultType]::ParameterName, 'How many times as bad as stable the candidate is')
            [CompletionResult]::new('--bake', '--bake', [CompletionResultType]::ParameterName, 'How long it bakes, in place of what the service says')
            [CompletionResult]::new('--design-effect', '--design-effect', [CompletionResultType]::ParameterName, 'How bursty events are: the factor by which their variance exceeds that of single ones')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'What all chance is drawn from')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;gate;replay' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;gate;help' {
            [CompletionResult]::new('backtest', 'backtest', [CompletionResultType]::ParameterValue, 'Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing')
            [CompletionResult]::new('power', 'power', [CompletionResultType]::ParameterValue, 'Tell how surely and how soon a gate fails a candidate that is worse')
            [CompletionResult]::new('replay', 'replay', [CompletionResultType]::ParameterValue, 'Judge recorded looks, and print the evidence after each as JSON')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mlroll;gate;help;backtest' {
            break
        }
        'mlroll;gate;help;check' {
            break
        }
        'mlroll;gate;help;power' {
            break
        }
        'mlroll;gate;help;replay' {
            break
        }
        'mlroll;gate;help;help' {
            break
        }
        'mlroll;history' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;hold' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;plan' {
            [CompletionResult]::new('--pct', '--pct', [CompletionResultType]::ParameterName, 'Plan a canary at this share instead of a rollout')
            [CompletionResult]::new('--candidate', '--candidate', [CompletionResultType]::ParameterName, 'The revision on trial')
            [CompletionResult]::new('--steps', '--steps', [CompletionResultType]::ParameterName, 'The candidate''s shares, rising to 100 %, in place of those of the service')
            [CompletionResult]::new('--bake', '--bake', [CompletionResultType]::ParameterName, 'How long each step must hold, in place of what the service says')
            [CompletionResult]::new('--rps', '--rps', [CompletionResultType]::ParameterName, 'Requests per second of both revisions together, in place of what the store tells')
            [CompletionResult]::new('--base-rate', '--base-rate', [CompletionResultType]::ParameterName, 'The share of stable''s requests that are events, such as 0.5%, in place of what the store tells')
            [CompletionResult]::new('--regression', '--regression', [CompletionResultType]::ParameterName, 'The regression to tell of, as times stable''s rate, such as 2x; else twice what each gate tolerates')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Plan with a revision that was rolled back')
            [CompletionResult]::new('--no-gates', '--no-gates', [CompletionResultType]::ParameterName, 'Plan a run that is not judged')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;promote' {
            [CompletionResult]::new('--candidate', '--candidate', [CompletionResultType]::ParameterName, 'The candidate, where it was not mlroll that put it in flight')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--force', '--force', [CompletionResultType]::ParameterName, 'Skip the gates, and promote a candidate with fewer instances than stable')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'Wait until the gates pass or fail, for as long as a bake takes, or `--timeout`')
            [CompletionResult]::new('--no-wait', '--no-wait', [CompletionResultType]::ParameterName, 'Return when the shift is accepted, not when it is live')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;resume' {
            [CompletionResult]::new('--on-interrupt', '--on-interrupt', [CompletionResultType]::ParameterName, 'What an interrupt does')
            [CompletionResult]::new('--summary', '--summary', [CompletionResultType]::ParameterName, 'Where to write what it came to, of an experiment')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;rollback' {
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Go to this revision')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'With --all: how long ago a promote may have been [default: 24h]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'All services of mlroll.toml: those with a canary in flight or promoted lately')
            [CompletionResult]::new('--no-wait', '--no-wait', [CompletionResultType]::ParameterName, 'Return when the shift is accepted, not when it is live')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;rollout' {
            [CompletionResult]::new('--candidate', '--candidate', [CompletionResultType]::ParameterName, 'The revision on trial')
            [CompletionResult]::new('--steps', '--steps', [CompletionResultType]::ParameterName, 'The candidate''s shares, rising to 100 %, in place of those of the service; such as 10%,50%,100%')
            [CompletionResult]::new('--bake', '--bake', [CompletionResultType]::ParameterName, 'How long each step must hold, in place of what the service says')
            [CompletionResult]::new('--on-interrupt', '--on-interrupt', [CompletionResultType]::ParameterName, 'What an interrupt does')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--again', '--again', [CompletionResultType]::ParameterName, 'Try a revision again that was rolled back')
            [CompletionResult]::new('--no-gates', '--no-gates', [CompletionResultType]::ParameterName, 'Do not judge, whatever gates are configured: hold each step for its bake, and promote')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;sandbox' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where to listen; loopback only')
            [CompletionResult]::new('--scenario', '--scenario', [CompletionResultType]::ParameterName, 'The world to simulate, described in docs/sandbox.md')
            [CompletionResult]::new('--speed', '--speed', [CompletionResultType]::ParameterName, 'How many of its seconds pass in one of ours')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'What all chance is drawn from [default: the scenario''s]')
            [CompletionResult]::new('--latency', '--latency', [CompletionResultType]::ParameterName, 'How much later each answer is sent')
            [CompletionResult]::new('--fleet', '--fleet', [CompletionResultType]::ParameterName, 'Add this many Lambda functions, fraud-0001 and so on')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;shadow' {
            [CompletionResult]::new('--pct', '--pct', [CompletionResultType]::ParameterName, 'The share of the requests that is copied in percent, such as 10')
            [CompletionResult]::new('--candidate', '--candidate', [CompletionResultType]::ParameterName, 'The revision on trial')
            [CompletionResult]::new('--bake', '--bake', [CompletionResultType]::ParameterName, 'How long to watch the candidate; needs gates')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--no-gates', '--no-gates', [CompletionResultType]::ParameterName, 'Do not judge, whatever gates are configured')
            [CompletionResult]::new('--no-wait', '--no-wait', [CompletionResultType]::ParameterName, 'Return when the change is accepted: nothing is watched or judged')
            [CompletionResult]::new('--off', '--off', [CompletionResultType]::ParameterName, 'End mirrored traffic, whoever it goes to')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;status' {
            [CompletionResult]::new('--every', '--every', [CompletionResultType]::ParameterName, 'How often to look; at least a second')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Read this file instead of ./mlroll.toml')
            [CompletionResult]::new('--target', '--target', [CompletionResultType]::ParameterName, 'Act on this target; needs no file, and may be given several times')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'How to write the result')
            [CompletionResult]::new('--reason', '--reason', [CompletionResultType]::ParameterName, 'Why this is done; shown wherever the result is')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'Give up after this time, all told [default: 5m, and 30m more until the split is live]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to colour')
            [CompletionResult]::new('--watch', '--watch', [CompletionResultType]::ParameterName, 'Look again and again, and show what changes: in place on a terminal, else a line for each change')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the calls that a run would make, and change nothing')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Name each request as it is sent')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'mlroll;help' {
            [CompletionResult]::new('canary', 'canary', [CompletionResultType]::ParameterValue, 'Shift a share of the traffic to a candidate')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print completions for a shell')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'See a canary promoted and another rolled back, on clouds simulated in this process')
            [CompletionResult]::new('deploy', 'deploy', [CompletionResultType]::ParameterValue, 'Make a new revision at zero traffic')
            [CompletionResult]::new('experiment', 'experiment', [CompletionResultType]::ParameterValue, 'Hold a split until one metric tells which revision is better (A/B test)')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Tell why each decision of a watched run fell: gate, query, window, numbers, evidence, rule')
            [CompletionResult]::new('gate', 'gate', [CompletionResultType]::ParameterValue, 'Try gates without moving traffic')
            [CompletionResult]::new('history', 'history', [CompletionResultType]::ParameterValue, 'List the runs that were watched, the newest first')
            [CompletionResult]::new('hold', 'hold', [CompletionResultType]::ParameterValue, 'Ask a run that is going on to stop advancing and keep its split')
            [CompletionResult]::new('plan', 'plan', [CompletionResultType]::ParameterValue, 'Tell what a rollout will do, how long it takes, and what its gates can and cannot see; change nothing')
            [CompletionResult]::new('promote', 'promote', [CompletionResultType]::ParameterValue, 'Give the candidate all traffic and make it stable')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'Go on with a run that was held, interrupted or cut off')
            [CompletionResult]::new('rollback', 'rollback', [CompletionResultType]::ParameterValue, 'Give all traffic back, now')
            [CompletionResult]::new('rollout', 'rollout', [CompletionResultType]::ParameterValue, 'Take a candidate through all steps of its service, judged by its gates')
            [CompletionResult]::new('sandbox', 'sandbox', [CompletionResultType]::ParameterValue, 'Serve the clouds on loopback: control planes and metric stores, fed by simulated users')
            [CompletionResult]::new('shadow', 'shadow', [CompletionResultType]::ParameterValue, 'Mirror a share of the live traffic to a candidate, whose answers nobody sees')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show who gets what, who is stable, candidate and previous, and what a run is at')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'mlroll;help;canary' {
            break
        }
        'mlroll;help;completions' {
            break
        }
        'mlroll;help;demo' {
            break
        }
        'mlroll;help;deploy' {
            break
        }
        'mlroll;help;experiment' {
            break
        }
        'mlroll;help;explain' {
            break
        }
        'mlroll;help;gate' {
            [CompletionResult]::new('backtest', 'backtest', [CompletionResultType]::ParameterValue, 'Try gates on the past: how often they had failed with nothing wrong, and how soon they had caught a regression')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing')
            [CompletionResult]::new('power', 'power', [CompletionResultType]::ParameterValue, 'Tell how surely and how soon a gate fails a candidate that is worse')
            [CompletionResult]::new('replay', 'replay', [CompletionResultType]::ParameterValue, 'Judge recorded looks, and print the evidence after each as JSON')
            break
        }
        'mlroll;help;gate;backtest' {
            break
        }
        'mlroll;help;gate;check' {
            break
        }
        'mlroll;help;gate;power' {
            break
        }
        'mlroll;help;gate;replay' {
            break
        }
        'mlroll;help;history' {
            break
        }
        'mlroll;help;hold' {
            break
        }
        'mlroll;help;plan' {
            break
        }
        'mlroll;help;promote' {
            break
        }
        'mlroll;help;resume' {
            break
        }
        'mlroll;help;rollback' {
            break
        }
        'mlroll;help;rollout' {
            break
        }
        'mlroll;help;sandbox' {
            break
        }
        'mlroll;help;shadow' {
            break
        }
        'mlroll;help;status' {
            break
        }
        'mlroll;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
