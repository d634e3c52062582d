//! One decision over a key's account and the one of all keys together.

use buttress_core::When;
use buttress_quota::algorithm::{self as rules, Account, Refusal, Rules};

use crate::limits::MAX_QUOTAS;

/// Why a cost is not admitted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) when: When,
    /// The quota that decides: those kept per key first, then those for all keys together.
    pub(crate) quota: u8,
    /// All quotas that refuse, a bit each.
    pub(crate) violated: u16,
    /// Whether the quota that decides is kept for all keys together.
    pub(crate) global: bool,
}

impl Refused {
    /// How long until the cost fits, in nanoseconds.
    pub(crate) fn wait(&self) -> Option<u64> {
        match self.when {
            When::After(wait) => Some(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)),
            When::Never | When::Unknown => None,
        }
    }
}

/// What has been spent, and the rules that it was spent under.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) account: &'a Account,
}

/// Whether the key's side and that of all keys together admit `cost`. Spends nothing.
#[inline]
pub(crate) fn check(
    keyed: Side<'_>,
    global: Option<Side<'_>>,
    cost: u64,
    now: u64,
) -> Result<(), Refused> {
    let by_key = keyed.account.check(keyed.rules, cost, now).err();
    let by_global = global.and_then(|side| side.account.check(side.rules, cost, now).err());
    if by_key.is_none() && by_global.is_none() {
        return Ok(());
    }
    let offset = keyed.rules.len();
    let violated = violated(keyed, cost, now)
        | global.map_or(0, |side| {
            violated(side, cost, now).unbounded_shl(bits(offset))
        });
    let (refusal, global) = match (by_key, by_global) {
        (Some(by_key), Some(by_global)) if by_global.when > by_key.when => (by_global, true),
        (Some(by_key), _) => (by_key, false),
        (None, Some(by_global)) => (by_global, true),
        (None, None) => return Ok(()),
    };
    let quota = refusal.quota + if global { offset } else { 0 };
    Err(Refused {
        global,
        ..refused(refusal.when, quota, violated)
    })
}

/// Spends on both sides or on none.
#[inline]
pub(crate) fn spend(
    rules: &Rules,
    account: &mut Account,
    global: Option<(&Rules, &mut Account)>,
    cost: u64,
    now: u64,
) -> Result<(), Refused> {
    if let Some(global) = global {
        return spend_on_two_sides(rules, account, global, cost, now);
    }
    account.admit(rules, cost, now).map_err(|refusal| {
        let keyed = Side { rules, account };
        refused_by_key(refusal, keyed, cost, now)
    })
}

#[inline(never)]
fn spend_on_two_sides(
    rules: &Rules,
    account: &mut Account,
    (global_rules, global): (&Rules, &mut Account),
    cost: u64,
    now: u64,
) -> Result<(), Refused> {
    let global_side = Side {
        rules: global_rules,
        account: global,
    };
    if let Err(refused) = check(Side { rules, account }, Some(global_side), cost, now) {
        account.keep_to_clock(rules, now);
        global.keep_to_clock(global_rules, now);
        return Err(refused);
    }
    account.spend(rules, cost, now);
    global.spend(global_rules, cost, now);
    Ok(())
}

/// The refusal of a key's side where nothing is kept for all keys.
fn refused_by_key(refusal: Refusal, keyed: Side<'_>, cost: u64, now: u64) -> Refused {
    let violated = match keyed.rules.len() {
        1 => 1,
        _ => violated(keyed, cost, now),
    };
    refused(refusal.when, refusal.quota, violated)
}

fn refused(when: rules::When, quota: usize, violated: u16) -> Refused {
    Refused {
        when: when_of(when),
        quota: u8::try_from(quota).unwrap_or(u8::MAX),
        violated,
        global: false,
    }
}

/// Of every quota that may concern a request, when it would admit, if it refuses.
pub(crate) type Refusals = [Option<When>; MAX_QUOTAS];

/// When each quota that refuses would admit `cost`.
pub(crate) fn refusals(keyed: Side<'_>, global: Option<Side<'_>>, cost: u64, now: u64) -> Refusals {
    let mut found = [None; MAX_QUOTAS];
    let mut note = |offset: usize, side: Side<'_>| {
        for refusal in side.account.refusals(side.rules, cost, now) {
            if let Some(slot) = found.get_mut(offset + refusal.quota) {
                *slot = Some(when_of(refusal.when));
            }
        }
    };
    note(0, keyed);
    if let Some(global) = global {
        note(keyed.rules.len(), global);
    }
    found
}

fn when_of(when: rules::When) -> When {
    match when {
        rules::When::After(wait) => When::After(wait),
        rules::When::Never => When::Never,
    }
}

fn violated(side: Side<'_>, cost: u64, now: u64) -> u16 {
    let quotas = side.account.violated(side.rules, cost, now);
    quotas.fold(0, |mask, quota| mask | 1_u16.unbounded_shl(bits(quota)))
}

fn bits(quota: usize) -> u32 {
    u32::try_from(quota).unwrap_or(u32::MAX)
}
