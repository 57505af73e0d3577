//! Findings of which the same is true.

use domain::ports::Finding;

/// One finding for all of a kind of which the same is true. Before, subjects are their names.
pub(super) fn grouped(kind: &str, findings: Vec<Finding>) -> Vec<Finding> {
    let mut groups: Vec<(Finding, Vec<String>)> = Vec::new();
    for finding in findings {
        let same = groups.iter_mut().find(|(first, _)| {
            (first.level, &first.what, &first.remedy)
                == (finding.level, &finding.what, &finding.remedy)
        });
        match same {
            Some((_, names)) => names.push(finding.subject),
            None => {
                let name = finding.subject.clone();
                groups.push((finding, vec![name]));
            }
        }
    }
    groups
        .into_iter()
        .map(|(finding, names)| {
            let plural = if names.len() == 1 { "" } else { "s" };
            Finding {
                subject: format!("{kind}{plural} {}", names.join(", ")),
                ..finding
            }
        })
        .collect()
}
