//! A gRPC codec that writes templates and reads prost messages.

use std::marker::PhantomData;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use super::template::Template;

/// A request body.
#[derive(Debug)]
pub(crate) enum Body {
    /// A template, and the number of the request.
    Stamped(Arc<Template>, u64),
    Ready(Bytes),
}

/// Writes [`Body`], reads `Answer`.
#[derive(Debug)]
pub(crate) struct TemplateCodec<Answer>(PhantomData<Answer>);

impl<Answer> TemplateCodec<Answer> {
    pub(crate) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<Answer: Message + Default + Send + 'static> Codec for TemplateCodec<Answer> {
    type Encode = Body;
    type Decode = Answer;
    type Encoder = TemplateEncoder;
    type Decoder = AnswerDecoder<Answer>;

    fn encoder(&mut self) -> TemplateEncoder {
        TemplateEncoder
    }

    fn decoder(&mut self) -> AnswerDecoder<Answer> {
        AnswerDecoder(PhantomData)
    }
}

#[derive(Debug)]
pub(crate) struct TemplateEncoder;

impl Encoder for TemplateEncoder {
    type Item = Body;
    type Error = Status;

    fn encode(&mut self, body: Body, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use bytes::BufMut;
        match body {
            Body::Stamped(template, request) => {
                to.reserve(template.len());
                template.write(request, to);
            }
            Body::Ready(bytes) => to.put(bytes),
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::default()
    }
}

#[derive(Debug)]
pub(crate) struct AnswerDecoder<Answer>(PhantomData<Answer>);

impl<Answer: Message + Default> Decoder for AnswerDecoder<Answer> {
    type Item = Answer;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Answer>, Status> {
        let answer = Answer::decode(from).map_err(|error| Status::internal(error.to_string()))?;
        Ok(Some(answer))
    }
}
