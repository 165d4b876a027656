//! A build that names no kernel.

use super::calls::Action;
use super::scan::{Scan, ScriptRule};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static RULE: ScriptRule = ScriptRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0838",
    title: "a script builds for the running kernel only",
    explanation: "Without `-k` dkms builds and installs for the kernel that `uname -r` names (dkms(8)). In a container, a\n\
                  chroot or an image build that is the host's kernel, whose headers are not there; after an upgrade of the\n\
                  kernel it is the old one. The kernels that are installed get no module, and nobody says so.",
};

fn check(scan: &Scan<'_>) -> Option<Diagnostic> {
    let is_running = |action: Action| action.builds();
    let calls = scan.calls.iter().filter(|call| is_running(call.action) && !call.names_kernel);
    let commands = calls.filter(|_| scan.kind.installs()).map(|call| call.command);
    let finding =
        scan.finding(&CODE, commands, |shown| format!("`{shown}` builds for the running kernel only"))?;
    Some(finding.hint(
        "name each kernel with headers: `for k in /lib/modules/*/build/include; do k=${k%/build/include}; dkms install -m NAME -v VERSION -k \"${k##*/}\" || :; done`",
    ))
}
