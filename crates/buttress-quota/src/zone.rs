//! Time zones by name: those of the IANA database that is compiled in, whatever the machine has.

use std::error::Error;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{LazyLock, OnceLock};

use buttress_core::wall::UnixNanos;
use jiff::tz::{TimeZone, TimeZoneDatabase};

use crate::civil::{Clocks, Period, Unit};
use buttress_core::duration::Quoted;

/// A time zone of the IANA database.
#[derive(Clone, Copy)]
pub struct Zone {
    name: &'static str,
    time_zone: &'static TimeZone,
}

/// Why a name is not that of a time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError {
    name: Box<str>,
    meant: Option<&'static str>,
}

// === impl Zone ===

/// The zones that are compiled in. A zone is read when it is first named, and then kept.
struct Zones {
    database: TimeZoneDatabase,
    /// In order of their names.
    zones: Box<[Entry]>,
}

/// A name, and its zone once it was read.
type Entry = (Box<str>, OnceLock<Option<TimeZone>>);

static ZONES: LazyLock<Zones> = LazyLock::new(|| {
    let database = TimeZoneDatabase::bundled();
    let mut zones: Box<[Entry]> = database
        .available()
        .map(|name| (name.as_str().into(), OnceLock::new()))
        .collect();
    zones.sort_by(|(one, _), (other, _)| one.cmp(other));
    Zones { database, zones }
});

impl Zone {
    /// The zone of this name, written as in the database, such as `UTC` or `America/New_York`.
    ///
    /// # Errors
    ///
    /// If the database that is compiled in has no zone of this name.
    pub fn new(name: &str) -> Result<Self, ZoneError> {
        let Zones { database, zones } = &*ZONES;
        let found = zones
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .ok()
            .and_then(|place| zones.get(place))
            .and_then(|(name, read)| {
                let time_zone = read.get_or_init(|| database.get(name).ok()).as_ref()?;
                Some(Self { name, time_zone })
            });
        found.ok_or_else(|| ZoneError::new(name))
    }

    /// The names of all zones, in order.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ZONES.zones.iter().map(|(name, _)| &**name)
    }

    /// Its name in the database.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The period that an instant is in.
    #[must_use]
    pub fn period(&self, unit: Unit, at: UnixNanos) -> Period {
        Clocks(self.time_zone).period(unit, at)
    }
}

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

impl Hash for Zone {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Zone").field(&self.name).finish()
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

// === impl ZoneError ===

impl ZoneError {
    fn new(name: &str) -> Self {
        let wanted = name.trim().replace(' ', "_");
        let is_city = |known: &&str| {
            let city = known.rsplit('/').next().unwrap_or_default();
            city.eq_ignore_ascii_case(&wanted)
        };
        let whole = Zone::names().find(|known| known.eq_ignore_ascii_case(&wanted));
        Self {
            name: name.into(),
            meant: whole.or_else(|| Zone::names().find(is_city)),
        }
    }

    /// What is wrong with the name, and the fix.
    #[must_use]
    pub fn reason(&self) -> String {
        const FORM: &str = "is no time zone of the IANA database; write";
        match self.meant {
            Some(name) => format!("{FORM} {name}"),
            None => format!("{FORM} a name such as UTC, Europe/Berlin or America/New_York"),
        }
    }
}

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "zone {} {}", Quoted(&self.name), self.reason())
    }
}

impl Error for ZoneError {}
