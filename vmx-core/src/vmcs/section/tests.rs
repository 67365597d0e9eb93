extern crate std;

use core::cell::RefCell;
use std::boxed::Box;
use std::collections::BTreeMap;

use super::*;
use crate::memory::page::Page;

/// Where the CPU finds a page: the pointer that its owner told last.
type Bus = RefCell<BTreeMap<PhysicalAddress, *const Page>>;

/// A box that tells the CPU where its page is whenever it is asked for the address. After
/// that the box may be moved only when the CPU does not use the page any more, or Miri calls
/// what the CPU does undefined behaviour.
struct Told<'b>(Box<Page>, &'b Bus);

// SAFETY: (1 to 4) As for every box, whose address stands for the physical one.
unsafe impl PageOwner for Told<'_> {
    fn page(&self) -> &Page {
        &self.0
    }

    fn address(&self) -> PhysicalAddress {
        let page: *const Page = &raw const *self.0;
        let address = PhysicalAddress(page.addr() as u64);
        self.1.borrow_mut().insert(address, page);
        address
    }
}

/// A CPU that writes to every region that it knows, all the time.
struct Writing<'b> {
    bus: &'b Bus,
    regions: BTreeMap<PhysicalAddress, *const Page>,
}

impl Writing<'_> {
    fn use_all(&self) {
        for page in self.regions.values() {
            // SAFETY: the CPU was given the page and not told to leave it alone.
            unsafe { (**page).write(100, 1) };
        }
    }

    fn take(&mut self, region: PhysicalAddress) {
        let page = self.bus.borrow()[&region];
        self.regions.entry(region).or_insert(page);
        self.use_all();
    }

    fn give_back(&mut self, region: PhysicalAddress) {
        self.use_all();
        self.regions.remove(&region);
    }
}

// SAFETY: (1, 2, 3) It writes to what it was given until it has answered that it does not.
unsafe impl VmxInstructions for Writing<'_> {
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

/// Moves a value as a function does that takes it.
#[inline(never)]
fn moved<T>(value: T) -> T {
    value
}

#[test]
fn no_owner_is_moved_while_the_cpu_has_its_page() {
    let bus = Bus::default();
    let page = || Told(Box::default(), &bus);
    let mut cpu = Writing { bus: &bus, regions: BTreeMap::new() };
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
