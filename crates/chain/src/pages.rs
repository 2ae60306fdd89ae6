//! What the node tells about itself, at paths of its own: on the status listener, and on routes
//! with `public-api`.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, Weak};

/// Something that the node tells about itself.
pub trait Page: Send + Sync {
    /// The media type of its text.
    fn media(&self) -> &'static str;
    /// What it tells now.
    fn text(&self) -> String;
}

/// The pages that are there, by path. A page is there as long as a plugin in force holds it.
#[derive(Clone, Default)]
pub struct Pages(Arc<RwLock<BTreeMap<&'static str, Weak<dyn Page>>>>);

impl Pages {
    /// Puts a page at a path, for as long as somebody holds it.
    pub fn add<P: Page + 'static>(&self, path: &'static str, page: &Arc<P>) {
        let weak = Arc::downgrade(page);
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(path, weak);
    }

    /// The page at a path.
    pub fn find(&self, path: &str) -> Option<Arc<dyn Page>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(path)?.upgrade()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Hello;

    impl Page for Hello {
        fn media(&self) -> &'static str {
            "text/plain"
        }

        fn text(&self) -> String {
            "hello".to_owned()
        }
    }

    #[test]
    fn a_page_is_there_while_it_is_held() {
        let pages = Pages::default();
        let hello = Arc::new(Hello);
        pages.add("/hello", &hello);
        assert_eq!(pages.clone().find("/hello").map(|page| page.text()).as_deref(), Some("hello"));
        assert!(pages.find("/other").is_none());
        drop(hello);
        assert!(pages.find("/hello").is_none());
    }
}
