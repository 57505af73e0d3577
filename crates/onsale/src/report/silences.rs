//! Whether faults cost no more than a scenario allows.

use super::faults::FaultFigures;
use crate::scenario::faults::FaultKind;
use crate::scenario::silences::SilenceLimits;

/// What was not kept, in words.
pub(crate) fn missed(limits: &SilenceLimits, faults: &[FaultFigures]) -> Vec<String> {
    let limit_of = |limits: &[(FaultKind, f64)], fault: &FaultFigures| {
        let mut limits = limits.iter();
        limits
            .find(|(kind, _)| *kind == fault.kind)
            .map(|(_, limit)| *limit)
    };
    let mut missed = Vec::new();
    for fault in faults {
        let (kind, at) = (fault.kind.name(), fault.at_seconds);
        let silence = fault.show_without_verdict_seconds;
        let limit = limit_of(&limits.show_without_verdict, fault);
        if let Some(limit) = limit.filter(|limit| silence > *limit) {
            missed.push(format!(
                "{kind} at {at:.1} s: no verdict for a show for {silence:.2} s, not {limit} s"
            ));
        }
        let afterwards = fault.without_acceptance_seconds - fault.lasted_seconds;
        let limit = limit_of(&limits.accepted_again, fault);
        if let Some(limit) = limit.filter(|limit| afterwards > *limit) {
            missed.push(format!(
                "{kind} at {at:.1} s: orders accepted again {afterwards:.2} s after its end, \
                 not {limit} s"
            ));
        }
    }
    missed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_its_own_limits() {
        let fault = |kind, without_verdict, without_acceptance| FaultFigures {
            kind,
            target: "x".to_owned(),
            at_seconds: 7.0,
            lasted_seconds: 3.0,
            without_verdict_seconds: without_verdict,
            show_without_verdict_seconds: without_verdict,
            without_acceptance_seconds: without_acceptance,
        };
        let limits = SilenceLimits {
            show_without_verdict: vec![(FaultKind::WorkerKilled, 2.0)],
            accepted_again: vec![(FaultKind::BrokerUnreachable, 5.0)],
        };
        let kept = [
            fault(FaultKind::WorkerKilled, 2.0, 100.0),
            fault(FaultKind::BrokerUnreachable, 100.0, 8.0),
            fault(FaultKind::StoreCut, 100.0, 100.0),
        ];
        assert_eq!(missed(&limits, &kept), [] as [String; 0]);
        let missed = [
            fault(FaultKind::WorkerKilled, 2.5, 0.0),
            fault(FaultKind::BrokerUnreachable, 0.0, 8.5),
        ];
        let expected = [
            "worker_killed at 7.0 s: no verdict for a show for 2.50 s, not 2 s",
            "broker_unreachable at 7.0 s: orders accepted again 5.50 s after its end, not 5 s",
        ];
        assert_eq!(super::missed(&limits, &missed), expected);
    }
}
