//! Arguments that dkms refuses.

use super::scan::{Scan, ScriptRule};
use crate::base::diagnostic::{Code, Diagnostic};

pub(super) static RULE: ScriptRule = ScriptRule { code: &CODE, check };

static CODE: Code = Code {
    id: "K0846",
    title: "dkms refuses the arguments",
    explanation: "dkms wants the name and the version: `-m NAME -v VERSION`, or NAME/VERSION; without a version it ends with\n\
                  status 1 and does nothing. Its options are separated from their values: `-mNAME` is an unknown option and\n\
                  ends with status 2 (the loop over the arguments in dkms 3.0 to 3.4).",
};

fn check(scan: &Scan<'_>) -> Option<Diagnostic> {
    let mut refused = scan.calls.iter().filter_map(|call| Some((call, call.refused.as_ref()?))).peekable();
    let why = refused.peek()?.1.clone();
    let commands: Vec<_> = refused.map(|(call, _)| call.command).collect();
    let finding = scan.finding(&CODE, commands, |shown| format!("dkms refuses `{shown}`: {why}"))?;
    Some(finding.hint("write `-m NAME -v VERSION`"))
}
