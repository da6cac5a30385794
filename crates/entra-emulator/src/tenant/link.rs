//! The references between objects: members, owners, managers.

use std::collections::HashMap;

use indexmap::IndexSet;

use super::{Kind, Tenant};

/// What one object is to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Link {
    /// Of a group.
    Member,
    /// Of an application, a service principal or a group.
    Owner,
    /// Of a device.
    RegisteredOwner,
    /// Of a device.
    RegisteredUser,
    /// Of a user: its manager.
    Manager,
    /// Of an application or a service principal: the policy that takes the place of the tenant's.
    AppManagementPolicy,
}

/// Both directions of every reference.
#[derive(Debug, Default)]
pub(super) struct Links {
    forward: HashMap<(Link, String), IndexSet<String>>,
    backward: HashMap<(Link, String), IndexSet<String>>,
}

impl Links {
    /// Drops every reference from and to an object.
    pub(super) fn forget(&mut self, id: &str) {
        self.forward.retain(|(_, from), _| from != id);
        self.backward.retain(|(_, to), _| to != id);
        for ids in self.forward.values_mut().chain(self.backward.values_mut()) {
            ids.shift_remove(id);
        }
    }
}

/// References. An object that is deleted but not yet purged keeps its own, unseen.
impl Tenant {
    /// Adds a reference; false if it exists.
    pub(crate) fn link(&mut self, from: &str, link: Link, to: &str) -> bool {
        let backward = self.links.backward.entry((link, to.to_owned()));
        backward.or_default().insert(from.to_owned());
        let forward = self.links.forward.entry((link, from.to_owned()));
        forward.or_default().insert(to.to_owned())
    }

    /// Removes a reference; false if there was none.
    pub(crate) fn unlink(&mut self, from: &str, link: Link, to: &str) -> bool {
        if let Some(ids) = self.links.backward.get_mut(&(link, to.to_owned())) {
            ids.shift_remove(from);
        }
        self.links
            .forward
            .get_mut(&(link, from.to_owned()))
            .is_some_and(|ids| ids.shift_remove(to))
    }

    /// Whether the reference exists.
    pub(crate) fn is_linked(&self, from: &str, link: Link, to: &str) -> bool {
        self.links
            .forward
            .get(&(link, from.to_owned()))
            .is_some_and(|ids| ids.contains(to))
    }

    /// The first reference, whatever it leads to.
    pub(crate) fn first_link(&self, from: &str, link: Link) -> Option<&str> {
        let ids = self.links.forward.get(&(link, from.to_owned()))?;
        ids.first().map(String::as_str)
    }

    /// What an object refers to, as far as it exists.
    pub(crate) fn linked(&self, from: &str, link: Link) -> Vec<(Kind, &str)> {
        self.existing(self.links.forward.get(&(link, from.to_owned())))
    }

    /// What refers to an object, as far as it exists.
    pub(crate) fn linking(&self, to: &str, link: Link) -> Vec<(Kind, &str)> {
        self.existing(self.links.backward.get(&(link, to.to_owned())))
    }

    /// Members of members, breadth first, each once. A cycle ends where it closes.
    pub(crate) fn linked_transitively(&self, from: &str, link: Link) -> Vec<(Kind, &str)> {
        self.closure(from, |id| self.linked(id, link))
    }

    /// Groups of groups, likewise.
    pub(crate) fn linking_transitively(&self, to: &str, link: Link) -> Vec<(Kind, &str)> {
        self.closure(to, |id| self.linking(id, link))
    }

    fn closure<'a>(
        &self,
        start: &str,
        next: impl Fn(&str) -> Vec<(Kind, &'a str)>,
    ) -> Vec<(Kind, &'a str)> {
        let mut seen = IndexSet::new();
        let mut queue: std::collections::VecDeque<_> = next(start).into();
        while let Some(found) = queue.pop_front() {
            if found.1 != start && seen.insert(found) {
                queue.extend(next(found.1));
            }
        }
        seen.into_iter().collect()
    }

    fn existing<'a>(&'a self, ids: Option<&'a IndexSet<String>>) -> Vec<(Kind, &'a str)> {
        ids.into_iter()
            .flatten()
            .filter_map(|id| Some((self.kind_of(id)?, id.as_str())))
            .collect()
    }
}
