// What a peer sends and no data channel carries (ue-side.md 9, RFC 8831 6.6): it costs the stream that it came on.
#include <array>

#include "ppid.h"
#include "stream_table.h"

namespace imsdc {

using protocol::RouteSink;
using protocol::WorkerError;

namespace {

/** Streams of a peer that nobody negotiated and that wait for their reset; more are ignored. */
constexpr std::size_t kMaxPendingRefusals = 16;

}  // namespace

/**
 * DCEP, or nothing that RFC 8831 8 knows. Channels are negotiated in SDP, so an OPEN changes nothing: stacks that send it
 * on a stream of ours as well wait for its ACK (RFC 8832 6), and on any other stream nobody will ever answer.
 */
void StreamTable::onForeignMessage(const sctp::Message& message) {
  const auto entry = streams_.find(message.streamId);
  const bool isOpen = entry != streams_.end() && entry->second.open;
  if (static_cast<Ppid>(message.ppid) == Ppid::dcep && !message.data.empty()) {
    const auto type = static_cast<DcepType>(message.data[0]);
    if (type == DcepType::open && !isOpen) {
      refuseStream(message.streamId);
      return;
    }
    if (type == DcepType::open) {
      constexpr std::array<std::uint8_t, 1> kAcknowledge{static_cast<std::uint8_t>(DcepType::acknowledge)};
      // Without room it is not sent: it says nothing that the SDP has not said.
      if (endpoint_ != nullptr) endpoint_->send(message.streamId, message.ppid, kAcknowledge, {});
      return;
    }
    if (type == DcepType::acknowledge) return;
  }
  closeBothHalves(message.streamId, WorkerError::UnsupportedMessage, "the peer sent what no data channel carries");
}

void StreamTable::onOversize(std::uint16_t streamId) {
  ++totals_.dropped;
  closeBothHalves(streamId, WorkerError::MessageTooLarge, "the peer sent a message above our limit");
}

/** The stream ends now, and at the far end of its route once everything before has been sent there. */
void StreamTable::closeBothHalves(std::uint16_t streamId, WorkerError code, std::string_view detail) {
  const auto entry = streams_.find(streamId);
  if (entry == streams_.end() || !entry->second.open) return;
  const protocol::Route route = entry->second.route;
  closeStream(streamId, code, detail);
  if (route.sink != RouteSink::Stream) return;
  StreamTable* far = host_.streamsOf({route.toHandle, route.toGeneration});
  if (far != nullptr) far->endAfterQueue(route.toStreamId, code, "its other half was reset");
}

void StreamTable::refuseStream(std::uint16_t streamId) {
  if (streamId < streamCount_ && pendingResets_.size() < kMaxPendingRefusals) reset(streamId);
}

}  // namespace imsdc
