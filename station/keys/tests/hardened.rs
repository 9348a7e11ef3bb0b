//! What hardening does to a process. Alone in its process, because it cannot be taken back.

#[test]
fn a_hardened_process_leaves_no_core_and_opens_to_no_debugger() {
    keys::harden_process().unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Core);
    assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    let dumpable = rustix::process::dumpable_behavior().unwrap();
    assert_eq!(dumpable, rustix::process::DumpableBehavior::NotDumpable);
    keys::harden_process().expect("a second time changes nothing");
}
