//! Running a scenario in many orders.

use std::time::Instant;

use shuttle::scheduler::{
    DfsScheduler, PctScheduler, RandomScheduler, ReplayScheduler, Scheduler,
    UncontrolledNondeterminismCheckScheduler,
};
use shuttle::{Config, MaxSteps, Runner};

/// Orders of each kind that every scenario is run in; RINGMASTER_MODEL_SCHEDULES asks for more or fewer.
const ORDERS: usize = 4_000;

/// The orders are the same every time; SHUTTLE_RANDOM_SEED asks for others.
const SEED: u64 = 0x5eed;

/// How many changes of thread at the worst moment an order of the second kind has.
const CHANGES: usize = 4;

/// Runs `scenario` in orders that are drawn step by step, and in orders that let the most important thread go on but for
/// a few changes of who that is: the first kind finds what takes many changes, the second what takes few at rare places.
pub fn explore(scenario: impl Fn() + Copy + Send + Sync + 'static) {
    if let Ok(file) = std::env::var("RINGMASTER_MODEL_REPLAY") {
        let order = ReplayScheduler::new_from_file(file).expect("a file with an order");
        return run("as in the file", order, scenario);
    }
    let asked = std::env::var("RINGMASTER_MODEL_SCHEDULES");
    let orders = asked.map_or(ORDERS, |asked| asked.parse().expect("a number of schedules"));
    run("random", RandomScheduler::new_from_seed(SEED, orders), scenario);
    run("by priority", PctScheduler::new_from_seed(SEED, CHANGES, orders), scenario);
}

/// Runs `scenario` in all orders that there are.
pub fn exhaust(scenario: impl Fn() + Copy + Send + Sync + 'static) {
    run("all there are", DfsScheduler::new(None, false), scenario);
}

/// Runs `scenario` twice in each of some orders and fails when it does not do the same both times.
pub fn repeat(scenario: impl Fn() + Copy + Send + Sync + 'static) {
    let random = RandomScheduler::new_from_seed(SEED, ORDERS);
    run("twice each", UncontrolledNondeterminismCheckScheduler::new(random), scenario);
}

fn run(kind: &str, scheduler: impl Scheduler + 'static, scenario: impl Fn() + Send + Sync + 'static) {
    let begun = Instant::now();
    let mut config = Config::new();
    config.stack_size = 256 * 1024;
    // A hundred times what a scenario takes: who needs more waits in a loop for what never comes.
    config.max_steps = MaxSteps::FailAfter(100_000);
    let orders = Runner::new(scheduler, config).run(scenario);
    println!("{orders} orders, {kind}, in {:.1} s", begun.elapsed().as_secs_f64());
}
