
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
            cand explain 'Tell why each decision of a watched run fell: gate, query, window, numbers, evidence, rule'
            cand gate 'Try gates without moving traffic'
            cand history 'List the runs that were watched, the newest first'
            cand hold 'Ask a run that is going on to stop advancing and keep its split'
            cand promote 'Give the candidate all traffic and make it stable'
            cand resume 'Go on with a run that was held, interrupted or cut off'
            cand rollback 'Give all traffic back, now'
            cand rollout 'Take a candidate through all steps of its service, judged by its gates'
            cand sandbox 'Serve the clouds on loopback: control planes and metric stores, fed by simulated users'
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
            cand check 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing'
            cand replay 'Judge recorded looks, and print the evidence after each as JSON'
            cand help 'Print this message or the help of the given subcommand(s)'
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
            cand check 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing'
            cand replay 'Judge recorded looks, and print the evidence after each as JSON'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mlroll;gate;help;check'= {
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
        &'mlroll;promote'= {
            cand --candidate 'The candidate, where it was not mlroll that put it in flight'
            cand --config 'Read this file instead of ./mlroll.toml'
            cand --target 'Act on this target; needs no file, and may be given several times'
            cand --output 'How to write the result'
            cand --reason 'Why this is done; shown wherever the result is'
            cand --timeout 'Give up after this time, all told [default: 5m, and 30m more until the split is live]'
            cand --color 'When to colour'
            cand --force 'Skip the gates'
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
            cand explain 'Tell why each decision of a watched run fell: gate, query, window, numbers, evidence, rule'
            cand gate 'Try gates without moving traffic'
            cand history 'List the runs that were watched, the newest first'
            cand hold 'Ask a run that is going on to stop advancing and keep its split'
            cand promote 'Give the candidate all traffic and make it stable'
            cand resume 'Go on with a run that was held, interrupted or cut off'
            cand rollback 'Give all traffic back, now'
            cand rollout 'Take a candidate through all steps of its service, judged by its gates'
            cand sandbox 'Serve the clouds on loopback: control planes and metric stores, fed by simulated users'
            cand status 'Show who gets what, who is stable, candidate and previous, and what a run is at'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'mlroll;help;canary'= {
        }
        &'mlroll;help;completions'= {
        }
        &'mlroll;help;demo'= {
        }
        &'mlroll;help;explain'= {
        }
        &'mlroll;help;gate'= {
            cand check 'Judge the canary in flight by what its gates say of the last `bake`, and move nothing'
            cand replay 'Judge recorded looks, and print the evidence after each as JSON'
        }
        &'mlroll;help;gate;check'= {
        }
        &'mlroll;help;gate;replay'= {
        }
        &'mlroll;help;history'= {
        }
        &'mlroll;help;hold'= {
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
        &'mlroll;help;status'= {
        }
        &'mlroll;help;help'= {
        }
    ]
    $completions[$command]
}
