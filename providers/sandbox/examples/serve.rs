//! A sandbox from the command line, to try it out: `cargo run -p mlroll-sandbox --example serve -- [PORT [FLEET [SPEED]]]`.
#![expect(clippy::print_stdout, reason = "it has no other output")]

use std::net::{Ipv4Addr, SocketAddr};

use mlroll_sandbox::{Options, Sandbox};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut options = Options::default();
    if let Some(port) = arguments.next() {
        options.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?));
    }
    if let Some(fleet) = arguments.next() {
        options.fleet = fleet.parse()?;
    }
    if let Some(speed) = arguments.next() {
        options.speed = speed.parse()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let sandbox = Sandbox::bind(options).await?;
        for (name, value) in sandbox.exports() {
            println!("export {name}={value}");
        }
        sandbox
            .serve(async {
                let _ = tokio::signal::ctrl_c().await;
            })
            .await;
        Ok(())
    })
}
