//! One run's world: its course, and what all processes and clients share.

use std::ops::Deref;

use parking_lot::Mutex;

use crate::broker::Broker;
use crate::course::{Course, beginning};
use crate::store::Tables;
use crate::told::Known;

/// What all processes and clients of a run share.
pub(crate) struct World {
    course: Course,
    pub(crate) broker: Mutex<Broker>,
    pub(crate) tables: Mutex<Tables>,
    pub(crate) told: Mutex<Known>,
}

impl World {
    /// Nothing has happened yet.
    pub(crate) fn new(course: Course) -> Self {
        Self {
            broker: Mutex::new(Broker::new(course.plan.lanes)),
            tables: Mutex::new(Tables::new(&course.plan, beginning())),
            told: Mutex::default(),
            course,
        }
    }
}

/// Whoever is in the world takes part in its course.
impl Deref for World {
    type Target = Course;

    fn deref(&self) -> &Course {
        &self.course
    }
}
