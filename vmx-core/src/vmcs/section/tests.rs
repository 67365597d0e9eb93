extern crate std;

use std::boxed::Box;
use std::vec::Vec;

use super::*;
use crate::memory::page::Page;

/// A box that tells the CPU its address whenever it is asked for it. The box may be moved
/// after that only if the CPU does not use the page, or Miri calls it undefined behaviour.
struct Told(Box<Page>);

// SAFETY: (1 to 4) As for every box, whose address stands for the physical one.
unsafe impl PageOwner for Told {
    fn page(&self) -> &Page {
        &self.0
    }

    fn address(&self) -> PhysicalAddress {
        PhysicalAddress((&raw const *self.0).expose_provenance() as u64)
    }
}

/// A CPU that writes to every region that it knows, all the time.
#[derive(Default)]
struct Writing {
    regions: Vec<PhysicalAddress>,
}

impl Writing {
    fn use_all(&self) {
        for region in &self.regions {
            let page = core::ptr::with_exposed_provenance::<Page>(region.0 as usize);
            // SAFETY: the CPU was given the page and not told to leave it alone.
            unsafe { (*page).write(100, 1) };
        }
    }

    fn take(&mut self, region: PhysicalAddress) {
        if !self.regions.contains(&region) {
            self.regions.push(region);
        }
        self.use_all();
    }

    fn give_back(&mut self, region: PhysicalAddress) {
        self.use_all();
        self.regions.retain(|other| *other != region);
    }
}

// SAFETY: (1, 2, 3) It writes to what it was given until it has answered that it does not.
unsafe impl VmxInstructions for Writing {
    fn enter_vmx_operation(
        &mut self,
        region: &VmxonPointer,
        _: &Capabilities,
    ) -> Result<(), EnterError> {
        self.take(region.address());
        Ok(())
    }

    fn leave_vmx_operation(&mut self, region: &VmxonPointer) -> Result<(), VmxError> {
        self.give_back(region.address());
        Ok(())
    }

    fn vmclear(&mut self, region: &VmcsPointer) -> Result<(), VmxError> {
        self.give_back(region.address());
        Ok(())
    }

    fn vmptrld(&mut self, region: &VmcsPointer) -> Result<(), VmxError> {
        self.take(region.address());
        Ok(())
    }
}

fn page() -> Told {
    Told(Box::new(Page::new()))
}

/// Moves a value as a function does that takes it.
#[inline(never)]
fn moved<T>(value: T) -> T {
    value
}

#[test]
fn no_owner_is_moved_while_the_cpu_has_its_page() {
    let mut cpu = Writing::default();
    let mut operation = VmxOperation::new();
    let vmcs = Vmcs::new(page(), &Capabilities::NOTHING);
    // SAFETY: the one CPU of this operation. So below.
    let mut section = unsafe { operation.section(&mut cpu) };
    section.enter(page(), &Capabilities::NOTHING).unwrap();
    let mut vmcs = moved(vmcs);
    section.load(&mut vmcs).unwrap();
    let mut operation = moved(operation);
    let mut vmcs = moved(moved(vmcs));
    cpu.use_all();
    // SAFETY: as above.
    let mut section = unsafe { operation.section(&mut cpu) };
    let built = section.build(page(), &Capabilities::NOTHING, |_| Ok::<_, LoadError>(()));
    let mut built = moved(built.unwrap());
    section.clear(&mut vmcs).unwrap();
    drop(moved(vmcs));
    let mut ended = moved(section.leave_by_force().unwrap());
    ended.release(&mut built).unwrap();
    drop(moved(built));
    drop(moved(ended.take_page()));
    assert!(cpu.regions.is_empty());
}
