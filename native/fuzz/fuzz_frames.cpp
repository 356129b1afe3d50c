// Control and payload frames: each body decoder with every byte string; what decodes encodes to the same bytes.
#include <cstdlib>

#include "worker_protocol.h"

namespace {

template <typename Body>
void tryBody(std::span<const std::uint8_t> bytes) {
  imsdc::protocol::Reader reader(bytes);
  Body body;
  if (!body.decode(reader) || !reader.done()) return;
  std::vector<std::uint8_t> again;
  imsdc::protocol::Writer writer(again);
  body.encode(writer);
  if (!std::equal(again.begin(), again.end(), bytes.begin(), bytes.end())) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace imsdc::protocol;
  if (size < kFrameHeaderBytes - 4) return 0;
  Reader reader({data, kFrameHeaderBytes - 4});
  FrameHeader header;
  if (!decodeHeader(reader, header)) return 0;
  const std::span body{data + kFrameHeaderBytes - 4, size - (kFrameHeaderBytes - 4)};
  switch (header.type) {
    case FrameType::Hello: tryBody<Hello>(body); break;
    case FrameType::Reserve: tryBody<Reserve>(body); break;
    case FrameType::Start: tryBody<Start>(body); break;
    case FrameType::Update: tryBody<Update>(body); break;
    case FrameType::Streams: tryBody<Streams>(body); break;
    case FrameType::Route: tryBody<Route>(body); break;
    case FrameType::Flow: tryBody<Flow>(body); break;
    case FrameType::ResetStream: tryBody<ResetStream>(body); break;
    case FrameType::Stats: tryBody<Stats>(body); break;
    case FrameType::Trace: tryBody<Trace>(body); break;
    case FrameType::Payload: tryBody<Payload>(body); break;
    case FrameType::Credit: tryBody<Credit>(body); break;
    default: break;
  }
  return 0;
}
