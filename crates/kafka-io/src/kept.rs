//! A message with its own bytes: what is sent again after Kafka has refused it.

use rdkafka::{Message, message::BorrowedMessage};

use crate::{
    headers::{self, Header},
    producer::Outgoing,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub topic: String,
    pub key: Option<Vec<u8>>,
    pub payload: Option<Vec<u8>>,
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Kept {
    pub fn of(message: &Outgoing<'_>) -> Self {
        Self {
            topic: message.topic.to_owned(),
            key: message.key.map(<[u8]>::to_vec),
            payload: message.payload.map(<[u8]>::to_vec),
            headers: message.headers.iter().copied().map(owned).collect(),
        }
    }

    pub(crate) fn refused(message: &BorrowedMessage<'_>) -> Self {
        let list = message.headers().map(headers::all);
        Self {
            topic: message.topic().to_owned(),
            key: message.key().map(<[u8]>::to_vec),
            payload: message.payload().map(<[u8]>::to_vec),
            headers: list.into_iter().flatten().map(owned).collect(),
        }
    }

    pub fn header_views(&self) -> Vec<Header<'_>> {
        self.headers
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_deref()))
            .collect()
    }
}

fn owned((name, value): Header<'_>) -> (Vec<u8>, Option<Vec<u8>>) {
    (name.to_vec(), value.map(<[u8]>::to_vec))
}
