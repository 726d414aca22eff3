//! Which cases are known to fail, and why.
//!
//! Both surprises fail the run: a case that fails without being listed, and a listed one that passes.

use super::{Areas, CaseResult, Results};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The table, read.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectations {
    /// The share of cases that pass in each area, 0 to 1.
    minimum_pass_rate: f64,
    #[serde(default)]
    areas: BTreeMap<String, Area>,
    #[serde(skip)]
    unmentioned: Area,
}

/// What is expected of one area.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Area {
    /// Why the area is not run at all.
    pub(super) skip: Option<String>,
    /// In place of the general one.
    #[serde(default)]
    minimum_pass_rate: Option<f64>,
    /// Ids of cases that are known to fail, each with the reason.
    #[serde(default)]
    failing: BTreeMap<String, String>,
}

/// How an area did.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Cases that pass.
    pub(super) passed: usize,
    /// Cases that did what was expected of them.
    pub(super) as_expected: usize,
    /// A line for each thing that is wrong.
    pub(super) complaints: Vec<String>,
}

impl Expectations {
    /// Reads the table; what it names must exist.
    pub(super) fn read(path: &Path, areas: &Areas) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text, areas).with_context(|| format!("reading {}", path.display()))
    }

    fn parse(text: &str, areas: &Areas) -> Result<Self> {
        let mut table: Self = toml::from_str(text)?;
        for (name, area) in &mut table.areas {
            let cases = areas.get(name).with_context(|| format!("there is no area {name}"))?;
            let unknown = area.failing.keys().find(|id| !cases.contains(*id));
            ensure!(unknown.is_none(), "there is no case {}", unknown.cloned().unwrap_or_default());
            area.minimum_pass_rate.get_or_insert(table.minimum_pass_rate);
        }
        table.unmentioned.minimum_pass_rate = Some(table.minimum_pass_rate);
        Ok(table)
    }

    /// What is expected of the area `name`.
    pub(super) fn area(&self, name: &str) -> &Area {
        self.areas.get(name).unwrap_or(&self.unmentioned)
    }
}

impl Area {
    /// Compares what passed with what was expected to.
    pub(super) fn judge(&self, cases: &BTreeSet<String>, results: &Results) -> Verdict {
        let passed = results.values().filter(|result| **result == CaseResult::Passed).count();
        let mut complaints: Vec<String> = cases.iter().filter_map(|id| self.surprise(id, results.get(id))).collect();
        let as_expected = cases.len() - complaints.len();
        complaints.extend(self.shortfall(cases.len(), passed));
        Verdict { passed, as_expected, complaints }
    }

    fn surprise(&self, id: &str, result: Option<&CaseResult>) -> Option<String> {
        use CaseResult::{Failed, Passed};
        match (result, self.failing.get(id)) {
            (Some(Passed), None) | (Some(Failed(_)), Some(_)) => None,
            (Some(Passed), Some(reason)) => Some(format!("{id} passes now; take it from the list ({reason})")),
            (Some(Failed(how)), None) => Some(format!("{id}: {how}")),
            (None, _) => Some(format!("{id} was not run")),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an area has a few hundred cases")]
    fn shortfall(&self, cases: usize, passed: usize) -> Option<String> {
        let minimum = self.minimum_pass_rate.unwrap_or(1.0);
        let rate = passed as f64 / cases as f64;
        (rate < minimum).then(|| format!("{:.1} % pass, at least {:.1} % must", rate * 100.0, minimum * 100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = r#"
        minimum_pass_rate = 0.5
        [areas.agents.failing]
        "agents/b" = "we refuse it"
        [areas.webhooks]
        skip = "not built"
    "#;

    #[test]
    fn cases_that_do_as_expected_are_no_news() -> Result<()> {
        check(&["agents/a", "agents/c"], 3, &[])
    }

    #[test]
    fn an_unlisted_failure_is_reported() -> Result<()> {
        check(&["agents/a"], 2, &["agents/c: got no answer", "33.3 % pass, at least 50.0 %"])
    }

    #[test]
    fn a_listed_case_that_passes_is_reported() -> Result<()> {
        check(&["agents/a", "agents/b", "agents/c"], 2, &["agents/b passes now; take it from the list (we refuse it)"])
    }

    #[test]
    fn a_case_that_was_not_run_is_reported() -> Result<()> {
        let areas = areas();
        let verdict = Expectations::parse(TABLE, &areas)?.area("agents").judge(&areas["agents"], &Results::new());
        assert_eq!(verdict.as_expected, 0);
        Ok(())
    }

    #[test]
    fn an_area_nobody_mentions_has_the_general_rate() -> Result<()> {
        let table = Expectations::parse(TABLE, &areas())?;
        assert_eq!(table.area("skills").minimum_pass_rate, Some(0.5));
        assert_eq!(table.area("webhooks").skip.as_deref(), Some("not built"));
        Ok(())
    }

    #[test]
    fn a_table_that_names_what_does_not_exist_is_refused() {
        let refused = |text: &str| Expectations::parse(&format!("minimum_pass_rate = 1\n{text}"), &areas()).is_err();
        assert!(refused("[areas.nonsense]"));
        assert!(refused("[areas.agents.failing]\n\"agents/z\" = \"gone\""));
        assert!(refused("[areas.agents]\nfailling = {}"));
    }

    fn check(passed: &[&str], as_expected: usize, complaints: &[&str]) -> Result<()> {
        let areas = areas();
        let table = Expectations::parse(TABLE, &areas)?;
        let results = areas["agents"].iter().map(|id| (id.clone(), result(passed.contains(&id.as_str())))).collect();
        let verdict = table.area("agents").judge(&areas["agents"], &results);
        assert_eq!(verdict.passed, passed.len());
        assert_eq!(verdict.as_expected, as_expected);
        assert_eq!(verdict.complaints.len(), complaints.len(), "{verdict:?}");
        for (said, expected) in verdict.complaints.iter().zip(complaints) {
            assert!(said.starts_with(expected), "{said}");
        }
        Ok(())
    }

    fn result(passed: bool) -> CaseResult {
        if passed { CaseResult::Passed } else { CaseResult::Failed("got no answer".to_owned()) }
    }

    fn areas() -> Areas {
        let cases =
            [("agents", ids(&["agents/a", "agents/b", "agents/c"])), ("webhooks", ids(&[])), ("skills", ids(&[]))];
        cases.map(|(name, cases)| (name.to_owned(), cases)).into()
    }

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }
}
