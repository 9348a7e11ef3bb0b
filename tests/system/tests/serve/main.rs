//! Whole stations as people run them: `station serve` processes, driven with the station's own command line, over
//! HTTP and by Azure's own clients; packed drives in pretend bays, our endpoint as the storage account.

mod clients;
mod events;
mod fleet;
mod mended;
mod process;
mod receiver;
mod rotation;
mod secrets;
mod story;
