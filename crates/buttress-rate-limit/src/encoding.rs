//! A snapshot as bytes.
//!
//! All numbers are little-endian and of fixed width. A header: 16 bytes that every snapshot begins with, the
//! version of the format, the length of the body, and a CRC-32 (IEEE 802.3) of version, length and body. The
//! body: seed, time, lists of quotas, accounts. Whatever is read is bounded by the bytes that are there.

use buttress_core::KeyHash;
use buttress_core::wall::UnixNanos;
use buttress_quota::algorithm::MAX_ENTRIES;
use buttress_quota::parts::{Kept, KeptLog};

use crate::persist_error::SnapshotError;
use crate::saved::{SavedAccount, SavedList, SavedSeed, Snapshot};

/// The format that this build writes.
pub(crate) const VERSION: u32 = 2;

/// The first that says of quotas which tier they are of.
const WITH_TIERS: u32 = 2;

const MAGIC: &[u8; 16] = b"buttress limits\n";

/// The bytes of the header: the magic, version, length, checksum.
pub(crate) const HEADER: usize = 16 + 4 + 8 + 4;

const NOTHING: u8 = 0;
const PACED: u8 = 1;
const ROLLING: u8 = 2;
const CALENDAR: u8 = 3;

const GLOBAL: u8 = 0;
const KEYED: u8 = 1;

impl Snapshot {
    /// The snapshot as bytes, to be kept wherever you like. They hold the seed that keys are hashed with:
    /// who reads them can aim keys at one place of the table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer(Vec::with_capacity(HEADER + 64 + self.accounts.len() * 32));
        writer.0.extend_from_slice(&[0; HEADER]);
        writer.snapshot(self);
        let mut bytes = writer.0;
        let (header, body) = bytes.split_at_mut(HEADER);
        let length = u64::try_from(body.len()).unwrap_or(u64::MAX);
        header[..16].copy_from_slice(MAGIC);
        header[16..20].copy_from_slice(&VERSION.to_le_bytes());
        header[20..28].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(&header[16..28], body);
        header[28..].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    ///
    /// If the bytes are not exactly what was written, or are of a newer format.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let header = Header::read(bytes, found)?;
        let body = &bytes[HEADER..];
        if checksum(&bytes[16..28], body) != header.checksum {
            return Err(SnapshotError::Damaged);
        }
        Reader(body).snapshot(header.version)
    }
}

/// What is said of a body before it is read.
pub(crate) struct Header {
    version: u32,
    checksum: u32,
}

impl Header {
    /// Reads the header of a snapshot of which `found` bytes are there in all.
    pub(crate) fn read(bytes: &[u8], found: u64) -> Result<Self, SnapshotError> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(SnapshotError::Foreign);
        }
        let torn = |expected| SnapshotError::Torn { found, expected };
        let mut reader = Reader(bytes.get(16..).unwrap_or_default());
        let version = reader.u32().map_err(|_| torn(None))?;
        if version > VERSION {
            return Err(SnapshotError::Newer { version });
        }
        let length = reader.u64().map_err(|_| torn(None))?;
        let checksum = reader.u32().map_err(|_| torn(None))?;
        let expected = length.saturating_add(32);
        match expected == found {
            true => Ok(Self { version, checksum }),
            false => Err(torn(Some(expected))),
        }
    }
}

fn checksum(head: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(head);
    hasher.update(body);
    hasher.finalize()
}

// === impl Writer ===

struct Writer(Vec<u8>);

impl Writer {
    fn snapshot(&mut self, snapshot: &Snapshot) {
        self.bytes(&snapshot.seed.number.to_le_bytes());
        self.bytes(&snapshot.seed.proof.to_le_bytes());
        self.bytes(&snapshot.taken.get().to_le_bytes());
        self.count(snapshot.lists.len());
        for list in &snapshot.lists {
            self.text(&list.tier);
            self.count(list.quotas.len());
            for text in &list.quotas {
                self.text(text);
            }
        }
        self.count(snapshot.accounts.len());
        for account in &snapshot.accounts {
            self.account(account);
        }
    }

    fn account(&mut self, account: &SavedAccount) {
        match account.holder {
            None => self.bytes(&[GLOBAL]),
            Some(key) => {
                self.bytes(&[KEYED]);
                self.bytes(&key.get().to_le_bytes());
            }
        }
        self.count(account.list);
        for kept in &account.kept {
            self.kept(kept);
        }
    }

    fn kept(&mut self, kept: &Kept) {
        match kept {
            Kept::Nothing => self.bytes(&[NOTHING]),
            Kept::Paced { ahead } => {
                self.bytes(&[PACED]);
                self.bytes(&ahead.to_le_bytes());
            }
            Kept::Rolling(log) => {
                self.bytes(&[ROLLING]);
                self.count(log.entries.len());
                for (age, units) in &log.entries {
                    self.bytes(&age.to_le_bytes());
                    self.bytes(&units.to_le_bytes());
                }
                self.bytes(&[u8::from(log.youngest_since.is_some())]);
                if let Some(since) = log.youngest_since {
                    self.bytes(&since.to_le_bytes());
                }
            }
            Kept::Calendar {
                period_start,
                units,
            } => {
                self.bytes(&[CALENDAR]);
                self.bytes(&period_start.to_le_bytes());
                self.bytes(&units.to_le_bytes());
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.bytes(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        // More than four thousand million of anything do not fit into the memory of a table.
        self.bytes(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

// === impl Reader ===

/// The bytes that are not read yet.
struct Reader<'a>(&'a [u8]);

const fn senseless(part: &'static str) -> SnapshotError {
    SnapshotError::Senseless { part }
}

impl Reader<'_> {
    fn snapshot(mut self, version: u32) -> Result<Snapshot, SnapshotError> {
        let seed = SavedSeed {
            number: self.u64()?,
            proof: self.u64()?,
        };
        let taken = UnixNanos::new(i128::from_le_bytes(self.array()?));
        let lists = (0..self.u32()?)
            .map(|_| self.list(version))
            .collect::<Result<Vec<_>, _>>()?;
        let accounts = (0..self.u32()?)
            .map(|_| self.account(&lists))
            .collect::<Result<Vec<_>, _>>()?;
        match self.0.is_empty() {
            true => Ok(Snapshot {
                seed,
                taken,
                lists,
                accounts,
            }),
            false => Err(senseless("last bytes")),
        }
    }

    fn list(&mut self, version: u32) -> Result<SavedList, SnapshotError> {
        let tier = match version < WITH_TIERS {
            true => Box::default(),
            false => self.text()?,
        };
        let quotas = (0..self.u32()?).map(|_| self.text());
        Ok(SavedList {
            tier,
            quotas: quotas.collect::<Result<_, _>>()?,
        })
    }

    fn text(&mut self) -> Result<Box<str>, SnapshotError> {
        let length = self.index()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(Into::into)
            .map_err(|_| senseless("quotas"))
    }

    fn account(&mut self, lists: &[SavedList]) -> Result<SavedAccount, SnapshotError> {
        let holder = match self.u8()? {
            GLOBAL => None,
            KEYED => Some(KeyHash::from_number(self.u64()?)),
            _ => return Err(senseless("keys")),
        };
        let list = self.index()?;
        let quotas = &lists.get(list).ok_or(senseless("quotas"))?.quotas;
        let kept = quotas.iter().map(|_| self.kept()).collect::<Result<_, _>>();
        Ok(SavedAccount {
            holder,
            list,
            kept: kept?,
        })
    }

    fn kept(&mut self) -> Result<Kept, SnapshotError> {
        match self.u8()? {
            NOTHING => Ok(Kept::Nothing),
            PACED => Ok(Kept::Paced {
                ahead: u128::from_le_bytes(self.array()?),
            }),
            ROLLING => self.log().map(Kept::Rolling),
            CALENDAR => Ok(Kept::Calendar {
                period_start: i64::from_le_bytes(self.array()?),
                units: self.u64()?,
            }),
            _ => Err(senseless("counts")),
        }
    }

    fn log(&mut self) -> Result<KeptLog, SnapshotError> {
        let count = self.index()?;
        if count > MAX_ENTRIES {
            return Err(senseless("logs"));
        }
        let entries = (0..count)
            .map(|_| Ok((i64::from_le_bytes(self.array()?), self.u64()?)))
            .collect::<Result<Vec<_>, _>>()?;
        let youngest_since = match self.u8()? {
            0 => None,
            1 => Some(i64::from_le_bytes(self.array()?)),
            _ => return Err(senseless("logs")),
        };
        let in_order = entries.is_sorted_by(|(older, _), (younger, _)| older > younger);
        let total = entries
            .iter()
            .try_fold(0_u64, |total, (_, units)| total.checked_add(*units));
        match in_order && total.is_some() && entries.iter().all(|(_, units)| *units > 0) {
            true => Ok(KeptLog {
                entries,
                youngest_since,
            }),
            false => Err(senseless("logs")),
        }
    }

    fn index(&mut self) -> Result<usize, SnapshotError> {
        usize::try_from(self.u32()?).map_err(|_| senseless("lengths"))
    }

    fn u8(&mut self) -> Result<u8, SnapshotError> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, SnapshotError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        self.array().map(u64::from_le_bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| senseless("lengths"))
    }

    fn take(&mut self, length: usize) -> Result<&[u8], SnapshotError> {
        let (taken, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(senseless("lengths"))?;
        self.0 = rest;
        Ok(taken)
    }
}
