//! x
use super::*;
use super::world::*;
use super::scenario::*;
#[test]
fn dbg() {
    let t = Terms { steps: vec![weight(100), weight(200), Weight::FULL], bake: secs(180), min_bake: secs(180), no_data_budget: secs(0), overtakes: false, ..terms() };
    let w = World { settles: 41, reads: vec![Some(mlroll_backend::ErrorKind::Auth), None], store: vec![true,true,true,false], atomic:false, overtakes:false, ..World::calm() };
    play(&with(t, w, vec![(29, Event::Early), (1, Event::Clock(-86400))]));
}
