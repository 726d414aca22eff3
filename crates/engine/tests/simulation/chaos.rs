//! What goes wrong.

use crate::{replica::Replica, world::World};
use quarterdeck_test_support::faulty_store::{Link, Odds};
use rand::{RngExt as _, rngs::SmallRng};
use std::{rc::Rc, time::Duration};
use tokio::time::{Instant, sleep};

/// What may go wrong in one simulation. Simulations without some of it are stricter on the rest.
#[derive(Clone, Debug)]
pub(crate) struct Weather {
    pub(crate) odds: Odds,
    /// What strikes replicas.
    troubles: Vec<Trouble>,
    /// Walls disagree by so much, and jump.
    skew_ms_max: i64,
    length: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Kill,
    Stop,
    Freeze,
    Cut,
    Jump,
    Nothing,
}

impl Weather {
    pub(crate) fn of(random: &mut SmallRng) -> Self {
        let delays = Odds { delayed: 200, delay_max: Duration::from_millis(20), ..Odds::default() };
        let gentle = random.random_bool(0.25);
        let odds = match random.random_range(0..3) {
            _ if gentle => delays,
            0 => delays,
            1 => Odds { not_done: 20, answer_lost: 20, done_late: 10, ..delays },
            _ => Odds {
                not_done: 80,
                answer_lost: 80,
                done_late: 40,
                delayed: 400,
                delay_max: Duration::from_millis(400),
            },
        };
        let mut may = |trouble, chance| (random.random_bool(chance) && !gentle).then_some(trouble);
        let mut troubles: Vec<Trouble> =
            [(Trouble::Kill, 0.7), (Trouble::Freeze, 0.4), (Trouble::Cut, 0.4), (Trouble::Jump, 0.3)]
                .into_iter()
                .filter_map(|(trouble, chance)| may(trouble, chance))
                .collect();
        if random.random_bool(0.3) {
            troubles.push(Trouble::Stop);
        }
        let skew_ms_max = if troubles.contains(&Trouble::Jump) { 2_000 } else { 0 };
        let length = Duration::from_secs(random.random_range(3..9));
        Self { odds, troubles, skew_ms_max, length }
    }

    /// Nothing fails and nothing is lost: what may be slow is only slow.
    pub(crate) fn is_gentle(&self) -> bool {
        let Odds { not_done, answer_lost, done_late, .. } = self.odds;
        not_done + answer_lost + done_late == 0 && self.troubles.iter().all(|trouble| *trouble == Trouble::Stop)
    }

    fn skew(&self, random: &mut SmallRng) -> i64 {
        random.random_range(-self.skew_ms_max..=self.skew_ms_max)
    }

    fn draw(&self, random: &mut SmallRng) -> Trouble {
        let drawn = match random.random_range(0..6) {
            0 | 1 => Trouble::Kill,
            2 => Trouble::Freeze,
            3 => Trouble::Cut,
            4 => Trouble::Stop,
            _ => Trouble::Jump,
        };
        if self.troubles.contains(&drawn) { drawn } else { Trouble::Nothing }
    }
}

pub(crate) async fn start(world: &World, number: usize, random: &mut SmallRng) -> Replica {
    let seed = random.random();
    let skew_ms = world.weather.skew(random);
    world.note(format!("replica {number} starts, skew {skew_ms} ms"));
    let with = (world.settings.clone(), world.weather.odds, skew_ms);
    Replica::start(number, seed, (&world.store, &world.time), world.runner.clone(), with).await
}

/// Lets the weather rage, one trouble after the other; troubles of different replicas overlap.
pub(crate) async fn rage(world: &Rc<World>) {
    let replicas = world.replicas.borrow().len();
    let end = Instant::now() + world.weather.length;
    futures_util::future::join_all((0..replicas).map(|number| rage_on(world, number, end))).await;
}

async fn rage_on(world: &World, number: usize, end: Instant) {
    let mut random = world.random(100 + number as u64);
    loop {
        sleep(Duration::from_millis(random.random_range(50..3_000))).await;
        if Instant::now() >= end {
            return;
        }
        let trouble = world.weather.draw(&mut random);
        strike(world, number, trouble, &mut random).await;
    }
}

async fn strike(world: &World, number: usize, trouble: Trouble, random: &mut SmallRng) {
    if !matches!(trouble, Trouble::Nothing) {
        world.note(format!("{trouble:?} replica {number}"));
    }
    match trouble {
        Trouble::Nothing => {}
        Trouble::Kill => {
            take(world, number).kill();
            sleep(Duration::from_millis(random.random_range(0..4_000))).await;
            put(world, number, random).await;
        }
        Trouble::Stop => {
            let replica = take(world, number);
            replica.stop().await;
            world.note(format!("replica {number} has stopped"));
            sleep(Duration::from_millis(random.random_range(0..2_000))).await;
            put(world, number, random).await;
        }
        Trouble::Freeze => hold(world, number, Link::Hung, random).await,
        Trouble::Cut => hold(world, number, Link::Cut, random).await,
        Trouble::Jump => {
            let skew_ms = world.weather.skew(random);
            with(world, number, |replica| replica.clock.jump_to(skew_ms));
        }
    }
}

async fn hold(world: &World, number: usize, link: Link, random: &mut SmallRng) {
    with(world, number, |replica| replica.faults.set_link(link));
    sleep(Duration::from_millis(random.random_range(100..5_000))).await;
    with(world, number, |replica| replica.faults.set_link(Link::Up));
    world.note(format!("replica {number} is back"));
}

fn take(world: &World, number: usize) -> Replica {
    world.replicas.borrow_mut()[number].take().expect("only its own weather takes it down")
}

async fn put(world: &World, number: usize, random: &mut SmallRng) {
    let replica = start(world, number, random).await;
    world.replicas.borrow_mut()[number] = Some(replica);
}

fn with(world: &World, number: usize, change: impl FnOnce(&Replica)) {
    if let Some(replica) = &world.replicas.borrow()[number] {
        change(replica);
    }
}

/// From now on calls are only slow.
pub(crate) async fn mend(world: &World) {
    for replica in world.replicas.borrow().iter().flatten() {
        replica.faults.set_link(Link::Up);
        replica.faults.draw(Odds { delayed: 100, delay_max: Duration::from_millis(5), ..Odds::default() });
    }
    // What was sent while things were bad arrives.
    sleep(Duration::from_millis(500)).await;
}
