//! More VMCSs on one CPU than addresses are kept of.

use proptest::prelude::*;
use vmx_core::vmcs::{LeaveError, ReleaseError, Vmcs, VmxOperation};
use vmx_tests::vmx_cpu::{CAPABILITIES, OwnedPage, PhysicalMemory, Use, VmxCpu};

/// How many addresses are kept, as the documentation of a forced leave says.
const KNOWN: usize = 64;
const VMCSS: usize = 80;

/// What happens to one VMCS.
#[derive(Clone, Copy, Debug)]
enum Step {
    Load(usize),
    Clear(usize),
    Drop(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let vmcs = 0..VMCSS;
    prop_oneof![
        6 => vmcs.clone().prop_map(Step::Load),
        2 => vmcs.clone().prop_map(Step::Clear),
        1 => vmcs.prop_map(Step::Drop),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A forced leave VMCLEARs what it knows, and gives no page back that it does not.
    #[test]
    fn a_forced_leave(steps in prop::collection::vec(step(), 0..300)) {
        let memory = PhysicalMemory::new(VMCSS + 1);
        let mut cpu = VmxCpu::new(&memory, 0);
        let mut operation = VmxOperation::new();
        // SAFETY: no CPU is behind it. So below.
        let mut section = unsafe { operation.section(&mut cpu) };
        section.enter(memory.allocate().unwrap(), &CAPABILITIES).unwrap();
        let new = || Some(Vmcs::new(memory.allocate().unwrap(), &CAPABILITIES));
        let mut vmcss: Vec<Option<Vmcs<OwnedPage<'_>>>> = (0..VMCSS).map(|_| new()).collect();
        // Those with an address that is kept: whoever came when there was room.
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        let mut dropped = 0;
        for step in steps {
            let (Step::Load(number) | Step::Clear(number) | Step::Drop(number)) = step;
            let Some(vmcs) = &mut vmcss[number] else { continue };
            let is_active = vmcs.active_on().is_some();
            match step {
                Step::Load(_) => {
                    section.load(vmcs).unwrap();
                    if !is_active {
                        let list = if known.len() < KNOWN { &mut known } else { &mut unknown };
                        list.push(number);
                    }
                }
                Step::Clear(_) => {
                    section.clear(vmcs).unwrap();
                    known.retain(|other| *other != number);
                    unknown.retain(|other| *other != number);
                }
                Step::Drop(_) => {
                    vmcss[number] = None;
                    dropped += usize::from(is_active);
                }
            }
            prop_assert_eq!(section.operation().active(), known.len() + unknown.len());
        }
        let active = known.len() + unknown.len();
        if active != 0 {
            prop_assert_eq!(section.leave().unwrap_err(), LeaveError::StillActive { vmcs: active });
        }

        cpu.may_abandon(unknown.len());
        // SAFETY: as above.
        let mut ended = unsafe { operation.section(&mut cpu) }.leave_by_force().unwrap();
        prop_assert_eq!(ended.outstanding(), active);
        for (number, vmcs) in vmcss.iter_mut().enumerate() {
            let Some(vmcs) = vmcs else { continue };
            let expected = if known.contains(&number) {
                Ok(())
            } else if unknown.contains(&number) {
                prop_assert_eq!(memory.used(vmcs.address()), Some(Use::Abandoned(0)));
                Err(ReleaseError::NotCleared)
            } else {
                Err(ReleaseError::OtherOperation)
            };
            prop_assert_eq!(ended.release(vmcs), expected);
        }
        let alive_unknown = unknown.iter().filter(|number| vmcss[**number].is_some()).count();
        prop_assert_eq!(ended.outstanding(), dropped + alive_unknown);
        let leaked = ended.outstanding();
        // The memory panics if a page comes back that the CPU may write to.
        drop((ended, vmcss));
        let vmxon = usize::from(leaked != 0);
        prop_assert_eq!(memory.free(), VMCSS + 1 - leaked - vmxon);
    }
}
