//! Circles among the modules of one folder.

use std::collections::{BTreeMap, BTreeSet};

use super::{Use, join};

/// Who uses whom among the modules of one folder, with the first place where it does.
type Edges = BTreeMap<String, BTreeMap<String, String>>;

/// Modules of one folder that use each other, directly or round about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Circle {
    pub(crate) modules: BTreeSet<String>,
    /// A shortest way round, with the lines that lead from one to the next.
    pub(crate) ring: String,
}

/// All circles. A folder is one with the module of its name, and what tests use is left out.
pub(crate) fn circles(uses: &[Use]) -> Vec<Circle> {
    let edges = edges(uses);
    let mut circles: Vec<Circle> = Vec::new();
    for start in edges.keys() {
        if circles.iter().any(|circle| circle.modules.contains(start)) {
            continue;
        }
        let reached = reachable(&edges, start);
        let mut modules: BTreeSet<String> = reached
            .into_iter()
            .filter(|other| reachable(&edges, other).contains(start))
            .collect();
        if modules.is_empty() {
            continue;
        }
        modules.insert(start.clone());
        let ring = ring(&edges, start);
        circles.push(Circle { modules, ring });
    }
    circles
}

fn edges(uses: &[Use]) -> Edges {
    let mut edges = Edges::new();
    for used in uses.iter().filter(|used| !used.is_test) {
        let common = used.module.iter().zip(&used.target);
        let common = common.take_while(|(a, b)| a == b).count();
        // A module and what is inside of it belong together.
        if common == used.module.len() || common == used.target.len() {
            continue;
        }
        let (from, to) = (&used.module[..=common], &used.target[..=common]);
        let targets = edges.entry(join(from)).or_default();
        targets
            .entry(join(to))
            .or_insert_with(|| used.place.clone());
    }
    edges
}

/// The modules to which a way of one step or more leads.
fn reachable(edges: &Edges, start: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(module) = open.pop() {
        for next in edges.get(&module).into_iter().flat_map(BTreeMap::keys) {
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    reached
}

/// The shortest way from a module back to itself.
fn ring(edges: &Edges, start: &str) -> String {
    let mut ways = vec![vec![start.to_owned()]];
    loop {
        let mut longer = Vec::new();
        for way in ways {
            let last = way.last().expect("a way has a start");
            for (next, place) in edges.get(last).into_iter().flatten() {
                if next == start {
                    return format!("{} -> {start} ({place})", shown(edges, &way));
                }
                if !way.contains(next) {
                    let mut way = way.clone();
                    way.push(next.clone());
                    longer.push(way);
                }
            }
        }
        assert!(!longer.is_empty(), "{start} is in no circle");
        ways = longer;
    }
}

fn shown(edges: &Edges, way: &[String]) -> String {
    let mut shown = way[0].clone();
    for pair in way.windows(2) {
        shown += &format!(" -> {} ({})", pair[1], edges[&pair[0]][&pair[1]]);
    }
    shown
}

mod checks {
    use super::super::{Source, uses};
    use super::circles;

    /// The modules in circles, and the rings, of made-up files.
    fn found(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::new(path, text))
            .collect();
        let circles = circles(&uses(&sources)).into_iter();
        let shown = circles.map(|circle| {
            let modules: Vec<String> = circle.modules.into_iter().collect();
            (modules.join(" "), circle.ring)
        });
        shown.collect()
    }

    #[test]
    fn a_pair_is_a_circle_and_its_lines_are_shown() {
        let files = [
            ("live/a.rs", "use super::b::B;"),
            ("live/b.rs", "\nuse crate::live::a::A;"),
        ];
        let ring = "live/a -> live/b (live/a.rs:1) -> live/a (live/b.rs:2)";
        assert_eq!(found(&files), [("live/a live/b".into(), ring.into())]);
    }

    #[test]
    fn a_ring_of_three_is_a_circle_and_its_tail_is_not_part_of_it() {
        let files = [
            ("x/a.rs", "use super::b::B;"),
            ("x/b.rs", "fn f() { super::c::g() }"),
            ("x/c.rs", "use super::{a::A, tail::T};"),
            ("x/tail.rs", ""),
        ];
        let found = found(&files);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "x/a x/b x/c");
    }

    #[test]
    fn a_folder_is_one_with_the_module_of_its_name() {
        let files = [
            ("x/a.rs", "mod inner;"),
            ("x/a/inner.rs", "use crate::x::b::B;"),
            ("x/b/mod.rs", "mod deep;"),
            ("x/b/deep.rs", "use super::super::a::A;"),
        ];
        assert_eq!(found(&files)[0].0, "x/a x/b");
    }

    #[test]
    fn parent_and_child_may_use_each_other() {
        let files = [
            ("x/a.rs", "use inner::I;"),
            ("x/a/inner.rs", "use super::A;"),
        ];
        assert_eq!(found(&files), []);
    }

    #[test]
    fn tests_may_use_everything() {
        let files = [
            ("x/a.rs", "use super::b::B;"),
            ("x/b.rs", "mod tests { use super::super::a::A; }"),
            ("x/b/tests.rs", "use crate::x::a::A;"),
        ];
        assert_eq!(found(&files), []);
    }
}
