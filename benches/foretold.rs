//! `cargo bench --bench foretold`: whether what `gate power` foretells comes true in the sandbox; some minutes.
//!
//!     ... -- --write              puts the tables into docs/foresight.md
//!     ... -- --bakes 10000        with more bakes in the sandbox
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that fails is no measurement"
)]

#[path = "../tests/cli/foretold.rs"]
mod foretold;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/foresight.md");

/// Around the tables, of fails and of passes.
const MARKS: [(&str, &str); 2] = [
    ("<!-- measured by benches/foretold: begin -->\n", "<!-- measured by benches/foretold: end -->"),
    ("<!-- passes measured by benches/foretold: begin -->\n", "<!-- passes measured by benches/foretold: end -->"),
];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let bakes = args.windows(2).find(|pair| pair[0] == "--bakes").map_or(1_000, |pair| pair[1].parse().unwrap());
    let writes = args.iter().any(|arg| arg == "--write");
    for (settings, (begin, end)) in [foretold::grid(), foretold::good()].into_iter().zip(MARKS) {
        let table = foretold::table(&settings, 10_000, bakes);
        println!("{table}");
        if writes {
            let page = std::fs::read_to_string(PAGE).unwrap();
            let (before, rest) = page.split_once(begin).unwrap();
            let (_, after) = rest.split_once(end).unwrap();
            std::fs::write(PAGE, format!("{before}{begin}{table}{end}{after}")).unwrap();
        }
    }
}
