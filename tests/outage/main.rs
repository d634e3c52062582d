//! What an outage costs with the layers and without, over real HTTP in virtual time: hyper's client and
//! server talk through memory, so that a paused clock stands still while bytes are on their way.

mod layers;
mod load;
#[path = "../http/memory.rs"]
mod memory;
mod metastable;
