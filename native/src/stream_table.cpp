#include "stream_table.h"

#include <algorithm>
#include <array>

#include "ppid.h"

namespace imsdc {
namespace {

using protocol::RouteSink;
using protocol::WorkerError;

constexpr std::array<std::uint8_t, 1> kEmptyContent{0};  // RFC 8831 6.6: an empty message is one octet that is ignored

SctpDelivery deliveryOf(const protocol::StreamSpec& spec) {
  SctpDelivery delivery;
  delivery.ordered = spec.ordered;
  delivery.hasMaxRetransmissions = spec.reliability == protocol::StreamSpecReliability::MaxRetransmissions;
  delivery.hasMaxTimeMs = spec.reliability == protocol::StreamSpecReliability::MaxTimeMs;
  delivery.limit = spec.reliabilityValue;
  return delivery;
}

}  // namespace

StreamTable::~StreamTable() {
  for (auto& [streamId, stream] : streams_) wakeWaiters(stream);
}

// ---- from the engine

std::vector<protocol::StreamOutcome> StreamTable::configure(const std::vector<protocol::StreamSpec>& specs) {
  std::vector<protocol::StreamOutcome> outcomes;
  std::vector<std::uint16_t> kept;
  for (const protocol::StreamSpec& spec : specs) {
    const bool tooHigh = spec.streamId >= streamCount_;
    protocol::StreamOutcome outcome;
    outcome.streamId = spec.streamId;
    outcome.code = static_cast<std::uint16_t>(tooHigh ? WorkerError::StreamIdTooHigh : WorkerError::Ok);
    outcomes.push_back(outcome);
    if (tooHigh) continue;
    kept.push_back(spec.streamId);
    Stream& stream = streams_[spec.streamId];
    stream.delivery = deliveryOf(spec);
    stream.priority = spec.priority;
    stream.used = true;
  }
  std::sort(kept.begin(), kept.end());
  std::vector<std::uint16_t> dropped;
  for (const auto& [streamId, stream] : streams_) {
    if (stream.used && !std::binary_search(kept.begin(), kept.end(), streamId)) dropped.push_back(streamId);
  }
  for (const std::uint16_t streamId : dropped) {
    closeStream(streamId, WorkerError::ResetByEngine, "left out of the set of streams");
    streams_[streamId].used = false;
  }
  if (endpoint_ != nullptr) {
    for (auto& [streamId, stream] : streams_) {
      if (stream.used && !stream.open) open(streamId, stream);
    }
    applyPriorities();
  }
  return outcomes;
}

void StreamTable::route(const protocol::Route& route) {
  Stream& stream = streams_[route.streamId];
  stream.route = route;
  // What came while there was credit but no reader belongs to whoever reads now.
  if (route.sink != RouteSink::Payload && !stream.inbox.empty()) {
    std::deque<Queued> inbox = std::move(stream.inbox);
    stream.inbox.clear();
    stream.inboxBytes = 0;
    if (stream.inboxPauses) {
      stream.inboxPauses = false;
      resume();
    }
    for (const Queued& message : inbox) onMessage({route.streamId, message.ppid, message.data});
  }
}

void StreamTable::grant(std::uint16_t streamId, std::uint32_t bytes) {
  Stream& stream = streams_[streamId];
  stream.engineCredit += bytes;
  stream.creditSeen = true;
  giveWindow(streamId, stream);
  drainInbox(streamId, stream);
}

void StreamTable::fromEngine(std::uint16_t streamId, protocol::PayloadKind kind, std::span<const std::uint8_t> data) {
  const auto entry = streams_.find(streamId);
  if (entry == streams_.end() || !entry->second.open || entry->second.endCode) {
    if (kind != protocol::PayloadKind::End) ++totals_.dropped;
    return;
  }
  Stream& stream = entry->second;
  if (kind == protocol::PayloadKind::End) {
    endAfterQueue(streamId, WorkerError::ResetByEngine, "ended by the engine");
    return;
  }
  if (data.size() > peerMaxMessageBytes_) {
    ++totals_.dropped;
    ++stream.counters.dropped;
    closeStream(streamId, WorkerError::MessageTooLarge, "the peer takes no message of this size");
    return;
  }
  const bool text = kind == protocol::PayloadKind::Text;
  if (data.empty()) {
    enqueue(streamId, stream, static_cast<std::uint32_t>(text ? Ppid::textEmpty : Ppid::binaryEmpty), kEmptyContent,
            true);
  } else {
    enqueue(streamId, stream, static_cast<std::uint32_t>(text ? Ppid::text : Ppid::binary), data, true);
  }
}

bool StreamTable::resetByEngine(std::uint16_t streamId) {
  const auto entry = streams_.find(streamId);
  if (entry == streams_.end() || !entry->second.open) return false;
  closeStream(streamId, WorkerError::ResetByEngine, "reset by the engine");
  return true;
}

// ---- from the association

void StreamTable::connected(SctpEndpoint& endpoint) {
  endpoint_ = &endpoint;
  streamCount_ = endpoint.streams();
  for (auto& [streamId, stream] : streams_) {
    if (!stream.used) continue;
    if (streamId < streamCount_) {
      open(streamId, stream);
    } else {
      stream.used = false;
      host_.streamChanged(self_, streamId, false, WorkerError::StreamIdTooHigh, "the association has fewer streams");
    }
  }
  applyPriorities();
}

void StreamTable::disconnected() {
  endpoint_ = nullptr;
  for (auto& [streamId, stream] : streams_) {
    if (!stream.open) continue;
    stream.open = false;
    if (stream.route.sink == RouteSink::Payload) {
      host_.payloadToEngine(self_, streamId, protocol::PayloadFromPeerKind::End, {});
    }
    dropQueues(stream);
  }
  blocked_.clear();
}

void StreamTable::open(std::uint16_t streamId, Stream& stream) {
  stream.open = true;
  stream.endCode.reset();
  host_.streamChanged(self_, streamId, true, WorkerError::Ok, "");
  giveWindow(streamId, stream);
}

/** RFC 8831 6.4: 128, 256, 512, 1024 are weights; usrsctp has strict ranks, so it is only used when they differ. */
void StreamTable::applyPriorities() {
  const auto differs = [this](std::uint16_t first) {
    return std::any_of(streams_.begin(), streams_.end(),
                       [&](const auto& entry) { return entry.second.open && entry.second.priority != first; });
  };
  const auto open = std::find_if(streams_.begin(), streams_.end(), [](const auto& entry) { return entry.second.open; });
  if (endpoint_ == nullptr || open == streams_.end() || !differs(open->second.priority)) return;
  for (const auto& [streamId, stream] : streams_) {
    if (stream.open) endpoint_->setPriority(streamId, static_cast<std::uint16_t>(65'535 - stream.priority));
  }
}

void StreamTable::onMessage(const sctp::Message& message) {
  const auto entry = streams_.find(message.streamId);
  const std::size_t bytes = userBytes(message.ppid, message.data.size());
  ++totals_.messagesReceived;
  totals_.bytesReceived += bytes;
  if (!isUserMessage(message.ppid)) {
    ++totals_.dropped;
    onForeignMessage(message);
    return;
  }
  if (entry == streams_.end() || !entry->second.open) {
    ++totals_.dropped;
    return;
  }
  Stream& stream = entry->second;
  ++stream.counters.messagesReceived;
  stream.counters.bytesReceived += bytes;
  switch (stream.route.sink) {
    case RouteSink::Payload:
      toEngine(message.streamId, stream, message.ppid, message.data);
      return;
    case RouteSink::Stream: {
      StreamTable* far = host_.streamsOf({stream.route.toHandle, stream.route.toGeneration});
      if (far != nullptr) {
        switch (far->relay(self_, message.streamId, stream.route.toStreamId, message.ppid, message.data)) {
          case Relayed::taken:
            break;
          case Relayed::takenPause:
            ++pauses_;
            break;
          case Relayed::tooLarge:
            closeStream(message.streamId, WorkerError::MessageTooLarge, "the far end takes no message of this size");
            break;
        }
        return;
      }
      break;
    }
    case RouteSink::Discard:
      break;
  }
  ++totals_.dropped;
  ++stream.counters.dropped;
}

StreamTable::Relayed StreamTable::relay(HandleId from, std::uint16_t fromStream, std::uint16_t toStream,
                                        std::uint32_t ppid, std::span<const std::uint8_t> data) {
  Stream& stream = streams_[toStream];
  const bool mayOpen = endpoint_ == nullptr && stream.used;  // the far end is still connecting: its messages wait
  if ((!stream.open && !mayOpen) || stream.endCode) {
    ++totals_.dropped;
    ++stream.counters.dropped;
    return Relayed::taken;
  }
  if (userBytes(ppid, data.size()) > peerMaxMessageBytes_) {
    ++totals_.dropped;
    ++stream.counters.dropped;
    closeStream(toStream, WorkerError::MessageTooLarge, "the peer takes no message of this size");
    return Relayed::tooLarge;
  }
  enqueue(toStream, stream, ppid, data, false);
  if (stream.queuedBytes <= host_.limits().bufferedBytesPerStream) return Relayed::taken;
  if (stream.waiters.empty()) stream.pausedSinceMs = host_.nowMs();
  stream.waiters.push_back({from, fromStream});
  host_.wake(self_);  // its deadline has to be looked at
  return Relayed::takenPause;
}

void StreamTable::resume() {
  if (--pauses_ == 0) host_.wake(self_);
}

void StreamTable::onPeerReset(const std::vector<std::uint16_t>& streamIds) {
  std::vector<std::uint16_t> ended = streamIds;
  if (ended.empty()) {
    for (const auto& [streamId, stream] : streams_) ended.push_back(streamId);
  }
  for (const std::uint16_t streamId : ended) {
    closeBothHalves(streamId, WorkerError::PeerResetStream, "reset by the peer");
  }
}

void StreamTable::onResetDone(const sctp::ResetDone& done) {
  // One request may be outstanding at a time (RFC 6525 5.1.1): what was refused meanwhile goes now.
  std::vector<std::uint16_t> again = std::move(pendingResets_);
  pendingResets_.clear();
  if (done.denied) again.insert(again.end(), done.streamIds.begin(), done.streamIds.end());
  for (const std::uint16_t streamId : again) reset(streamId);
}

}  // namespace imsdc
