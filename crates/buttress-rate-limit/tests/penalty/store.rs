use buttress_core::{KeyHash, Seed};
use buttress_rate_limit::Penalty;
use buttress_rate_limit::algorithm::{Offence, Offenders};
use std::time::Duration;

fn key(name: &str) -> KeyHash {
    Seed::fixed(1).hash(name)
}

fn until(end: u64) -> Offence {
    Offence::banned(None, end, 0)
}

#[test]
fn without_room_the_one_goes_whose_penalty_ends_first() {
    let mut offenders = Offenders::new(2);
    offenders.put(key("long"), until(100), 0);
    offenders.put(key("short"), until(50), 0);
    offenders.put(key("middle"), until(70), 0);
    let held: Vec<_> = offenders.penalised(0).map(|(key, _)| key).collect();
    assert_eq!(held, [key("middle"), key("long")]);
    assert_eq!(offenders.evicted(), 1);
    offenders.put(key("shorter"), until(60), 0);
    assert_eq!(offenders.get(key("shorter")), None, "it ends first itself");
    offenders.put_for_certain(key("shorter"), until(60), 0);
    assert!(offenders.get(key("middle")).is_none());
    assert_eq!((offenders.evicted(), offenders.len()), (3, 2));
    offenders.put(key("long"), until(200), 0);
    assert_eq!(offenders.evicted(), 3, "who is there needs no room");
    offenders.set_most(1, 0);
    assert!(offenders.get(key("long")).is_some() && offenders.len() == 1);
}

#[test]
fn who_is_forgotten_leaves_and_those_who_are_not_penalised_go_first() {
    let penalty = Penalty::after(2).first(Duration::from_nanos(10));
    let penalty = penalty.forget_after(Duration::from_nanos(100));
    let mut offenders = Offenders::new(3);
    offenders.put(key("banned"), until(1_000), 0);
    for spray in 0..10_000_u64 {
        let name = format!("spray {spray}");
        offenders.put(
            key(&name),
            penalty.refused(None, spray / 1_000),
            spray / 1_000,
        );
    }
    assert_eq!(offenders.len(), 3, "memory is flat");
    assert!(
        offenders.get(key("banned")).is_some(),
        "nobody is sprayed free"
    );
    assert_eq!(offenders.evicted(), 9_998);
    offenders.put(key("later"), penalty.refused(None, 200), 200);
    assert_eq!(offenders.len(), 2, "the others are forgotten");
    assert_eq!(offenders.latest_end(), 1_000);
    assert_eq!(
        offenders.remove(key("banned")).map(|o| o.until),
        Some(1_000)
    );
    offenders.clear();
    assert!(offenders.is_empty() && offenders.latest_end() == 0);
}
