//! How evenly each scheme shares, beside what the literature says.
//!
//! Of all six-digit ids, servers 1 to N: those of the busiest server over the mean / those of the idlest. Schemes with their
//! default measures, except that `even` and `statement` have 4,096 slots where 512 are too few for 200 servers.
//!
//! | scheme | N = 3 | 10 | 50 | 200 (even, statement: 4,096 slots) |
//! |---|---|---|---|---|
//! | even | 1.01 / 0.99 | 1.02 / 0.98 | 1.10 / 0.86 | 1.12 / 0.88 |
//! | statement/linear | 2.54 / 0.14 | 6.57 / 0.00 | 3.52 / 0.00 | 5.47 / 0.00 |
//! | statement/quadratic | 2.54 / 0.14 | 6.57 / 0.15 | (no room for 50) | 4.89 / 0.00 |
//! | ketama | 1.11 / 0.92 | 1.11 / 0.91 | 1.21 / 0.87 | 1.26 / 0.80 |
//! | maglev | 1.01 / 0.99 | 1.01 / 0.99 | 1.02 / 0.98 | 1.05 / 0.96 |
//! | rendezvous | 1.01 / 0.99 | 1.01 / 0.99 | 1.02 / 0.98 | 1.05 / 0.96 |
//!
//! What the literature gives, and the tests below hold besides:
//!
//! - even: nobody's but ours; its own table is in `src/ring/even.rs`, in slots.
//! - statement: nothing. It is known to be bad, and `src/ring/statement.rs` says why.
//! - ketama: shares scatter by 1/√V (Karger and others, 1997; Lamping and Veach, 2014, table 1: 0.3151 for 10 points, 0.0997
//!   for 100, 0.0316 for 1,000), which is 0.079 for 160. The busiest of 200 is then some 2.8 times that above the mean.
//! - maglev: with M > 100 N no share is more than 1 % over another (Eisenbud and others, 2016, section 3.4); that is about
//!   entries. In requests, what counting 4,500 ids for each of 200 servers scatters (1.5 %) comes on top.
//! - rendezvous: as drawing lots for every key; only the scatter of counting, 1/√(900,000 / N).

use crate::fleets::{ring_of, shape};
use ringmaster::ring::{Probing, REQUEST_IDS, Ring, Scheme, Shape};

const LINEAR: Scheme = Scheme::Statement(Probing::Linear);
const QUADRATIC: Scheme = Scheme::Statement(Probing::Quadratic);

/// Servers, then the bounds of the busiest and of the idlest.
type Row = (u32, f64, f64);

/// The table of the module head.
const TABLE: [(Scheme, &[Row]); 6] = [
    (Scheme::Even, &[(3, 1.01, 0.99), (10, 1.02, 0.98), (50, 1.10, 0.86), (200, 1.12, 0.88)]),
    (LINEAR, &[(3, 2.54, 0.14), (10, 6.57, 0.00), (50, 3.52, 0.00), (200, 5.47, 0.00)]),
    (QUADRATIC, &[(3, 2.54, 0.14), (10, 6.57, 0.15), (200, 4.89, 0.00)]),
    (Scheme::Ketama, &[(3, 1.11, 0.92), (10, 1.11, 0.91), (50, 1.21, 0.87), (200, 1.26, 0.80)]),
    (Scheme::Maglev, &[(3, 1.01, 0.99), (10, 1.01, 0.99), (50, 1.02, 0.98), (200, 1.05, 0.96)]),
    (Scheme::Rendezvous, &[(3, 1.01, 0.99), (10, 1.01, 0.99), (50, 1.02, 0.98), (200, 1.05, 0.96)]),
];

/// The default measures, or larger ones if those do not hold so many.
fn roomy(scheme: Scheme, servers: u32) -> Shape {
    let shape = Shape::of(scheme);
    if shape.max_servers() < servers as usize { self::shape(scheme, 4096, 9) } else { shape }
}

#[test]
fn busiest_and_idlest_are_as_the_table_says() {
    for (scheme, rows) in TABLE {
        for &(servers, most, least) in rows {
            let ring = ring_of(roomy(scheme, servers), 1..=servers);
            let counts = ring.shares(REQUEST_IDS);
            let mean = 900_000.0 / f64::from(servers);
            let busiest = *counts.values().max().unwrap() as f64 / mean;
            let idlest = *counts.values().min().unwrap() as f64 / mean;
            println!("{scheme}, {servers} servers: busiest {busiest:.4}, idlest {idlest:.4} of the mean");
            let is_just =
                busiest <= most && busiest > most - 0.01 && idlest >= least && idlest < least + 0.01;
            assert!(
                is_just,
                "{scheme}, {servers}: {busiest} and {idlest} are not just within {most} and {least}"
            );
        }
    }
}

/// The root of the mean square of how far parts are from the even one, relative to it.
fn scatter(rings: &[Ring]) -> f64 {
    let parts = rings.iter().flat_map(|ring| {
        let spread = ring.spread();
        let servers = spread.len() as f64;
        spread.into_values().map(move |part| part * servers - 1.0)
    });
    let squares: Vec<f64> = parts.map(|part| part * part).collect();
    (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
}

#[test]
fn shares_under_ketama_scatter_by_one_over_the_root_of_the_points() {
    for (points, known) in [(10, 0.3151), (100, 0.0997), (160, 0.0791), (1000, 0.0316)] {
        let fleet = |k: u32| ring_of(shape(Scheme::Ketama, 0, points), k * 50..k * 50 + 50);
        let scatter = scatter(&(0..20).map(fleet).collect::<Vec<_>>());
        println!("ketama, {points} points: shares scatter by {scatter:.4}, {known} is known");
        // Of a thousand values, the scatter is known to one part in √2000.
        assert!((scatter / known - 1.0).abs() < 0.07, "{points} points: {scatter}");
    }
}

#[test]
fn shares_under_maglev_differ_by_one_entry() {
    for (entries, servers) in
        [(101, 1), (1_009, 10), (10_007, 100), (65_537, 3), (65_537, 57), (65_537, 200), (65_537, 655)]
    {
        let ring = ring_of(shape(Scheme::Maglev, entries, 0), 1..=servers);
        let owned = ring.owned_slots();
        let (most, least) = (owned.values().max().unwrap(), owned.values().min().unwrap());
        assert_eq!(owned.len(), servers as usize);
        assert!(most - least <= 1 && *most as f64 / *least as f64 <= 1.01, "{entries}: {most}, {least}");
    }
}

/// Pearson's test: the sum of `(counted - expected)² / expected` is about the number of servers if only chance is at work.
#[test]
fn shares_under_rendezvous_differ_only_by_chance() {
    for servers in [3, 10, 50, 200u32] {
        let ring = ring_of(Shape::of(Scheme::Rendezvous), 1..=servers);
        let mean = 900_000.0 / f64::from(servers);
        let counts = ring.shares(REQUEST_IDS).into_values();
        let statistic: f64 = counts.map(|count| (count as f64 - mean).powi(2) / mean).sum();
        let (degrees, five_deviations) =
            (f64::from(servers - 1), 5.0 * (2.0 * f64::from(servers - 1)).sqrt());
        println!(
            "rendezvous, {servers} servers: a statistic of {statistic:.1} for {degrees} degrees of freedom"
        );
        assert!((statistic - degrees).abs() < five_deviations, "{servers}: {statistic}");
    }
}
