#include "stream_table.h"

#include <algorithm>
#include <array>

namespace imsdc {
namespace {

using protocol::RouteSink;
using protocol::WorkerError;

constexpr std::array<std::uint8_t, 1> kEmptyContent{0};  // RFC 8831 6.6: an empty message is one octet that is ignored

bool isText(std::uint32_t ppid) {
  const auto kind = static_cast<Ppid>(ppid);
  return kind == Ppid::text || kind == Ppid::textPartial || kind == Ppid::textEmpty;
}
bool isEmpty(std::uint32_t ppid) {
  return static_cast<Ppid>(ppid) == Ppid::textEmpty || static_cast<Ppid>(ppid) == Ppid::binaryEmpty;
}
bool isUserMessage(std::uint32_t ppid) {
  return isText(ppid) || isEmpty(ppid) || static_cast<Ppid>(ppid) == Ppid::binary ||
         static_cast<Ppid>(ppid) == Ppid::binaryPartial;
}
std::size_t userBytes(std::uint32_t ppid, std::size_t size) { return isEmpty(ppid) ? 0 : size; }

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
  // DCEP (PPID 50) has no place here: channels are negotiated in SDP.
  if (entry == streams_.end() || !entry->second.open || !isUserMessage(message.ppid)) {
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
    const auto entry = streams_.find(streamId);
    if (entry == streams_.end() || !entry->second.open) continue;
    const protocol::Route route = entry->second.route;
    closeStream(streamId, WorkerError::PeerResetStream, "reset by the peer");
    if (route.sink != RouteSink::Stream) continue;
    StreamTable* far = host_.streamsOf({route.toHandle, route.toGeneration});
    if (far != nullptr) far->endAfterQueue(route.toStreamId, WorkerError::PeerResetStream, "its other half was reset");
  }
}

void StreamTable::onResetDone(const sctp::ResetDone& done) {
  // One request may be outstanding at a time (RFC 6525 5.1.1): what was refused meanwhile goes now.
  std::vector<std::uint16_t> again = std::move(pendingResets_);
  pendingResets_.clear();
  if (done.denied) again.insert(again.end(), done.streamIds.begin(), done.streamIds.end());
  for (const std::uint16_t streamId : again) reset(streamId);
}

void StreamTable::onOversize(std::uint16_t streamId) {
  ++totals_.dropped;
  const auto entry = streams_.find(streamId);
  if (entry == streams_.end() || !entry->second.open) return;
  const protocol::Route route = entry->second.route;
  closeStream(streamId, WorkerError::MessageTooLarge, "the peer sent a message above our limit");
  if (route.sink != RouteSink::Stream) return;
  StreamTable* far = host_.streamsOf({route.toHandle, route.toGeneration});
  if (far != nullptr) far->endAfterQueue(route.toStreamId, WorkerError::MessageTooLarge, "its other half was reset");
}

// ---- towards the peer

SctpSend StreamTable::sendNow(std::uint16_t streamId, Stream& stream, std::uint32_t ppid,
                              std::span<const std::uint8_t> data) {
  if (endpoint_ == nullptr) return SctpSend::wouldBlock;
  const SctpSend result = endpoint_->send(streamId, ppid, data, stream.delivery);
  if (result == SctpSend::accepted) {
    ++totals_.messagesSent;
    ++stream.counters.messagesSent;
    const std::size_t bytes = userBytes(ppid, data.size());
    totals_.bytesSent += bytes;
    stream.counters.bytesSent += bytes;
  } else if (result != SctpSend::wouldBlock) {
    ++totals_.dropped;
    ++stream.counters.dropped;
  }
  return result;
}

bool StreamTable::enqueue(std::uint16_t streamId, Stream& stream, std::uint32_t ppid,
                          std::span<const std::uint8_t> data, bool fromEngine) {
  if (stream.queue.empty() && sendNow(streamId, stream, ppid, data) != SctpSend::wouldBlock) {
    if (fromEngine) owe(streamId, stream, userBytes(ppid, data.size()));
    return true;
  }
  if (stream.queue.empty()) blocked_.push_back(streamId);
  stream.queue.push_back({ppid, {data.begin(), data.end()}, fromEngine});
  stream.queuedBytes += data.size() + protocol::kMessageCreditOverheadBytes;
  queuedBytes_ += data.size() + protocol::kMessageCreditOverheadBytes;
  return false;
}

void StreamTable::flush() {
  std::size_t turns = blocked_.size();
  while (turns-- > 0 && endpoint_ != nullptr) {
    const std::uint16_t streamId = blocked_.front();
    blocked_.pop_front();
    Stream& stream = streams_[streamId];
    if (stream.queue.empty()) continue;
    if (flushStream(streamId, stream)) continue;
    blocked_.push_back(streamId);  // the next time somebody else goes first
    return;
  }
}

/** True: the queue is empty. */
bool StreamTable::flushStream(std::uint16_t streamId, Stream& stream) {
  while (!stream.queue.empty()) {
    const Queued& front = stream.queue.front();
    if (sendNow(streamId, stream, front.ppid, front.data) == SctpSend::wouldBlock) break;
    const std::size_t bytes = front.data.size();
    if (front.fromEngine) owe(streamId, stream, userBytes(front.ppid, bytes));
    stream.queuedBytes -= bytes + protocol::kMessageCreditOverheadBytes;
    queuedBytes_ -= bytes + protocol::kMessageCreditOverheadBytes;
    stream.queue.pop_front();
  }
  if (stream.queuedBytes <= host_.limits().bufferedBytesPerStream / 2) wakeWaiters(stream);
  if (!stream.queue.empty()) return false;
  stream.queue.shrink_to_fit();
  if (stream.endCode) {
    const WorkerError code = *stream.endCode;
    const std::string detail = stream.endDetail;
    stream.endCode.reset();
    closeStream(streamId, code, detail);
  }
  return true;
}

void StreamTable::wakeWaiters(Stream& stream) {
  const std::vector<Waiter> waiters = std::move(stream.waiters);
  stream.waiters.clear();
  for (const Waiter& waiter : waiters) {
    if (StreamTable* source = host_.streamsOf(waiter.id); source != nullptr) source->resume();
  }
}

// ---- towards the engine

void StreamTable::toEngine(std::uint16_t streamId, Stream& stream, std::uint32_t ppid,
                           std::span<const std::uint8_t> data) {
  stream.inbox.push_back({ppid, {data.begin(), data.end()}, false});
  stream.inboxBytes += data.size() + protocol::kMessageCreditOverheadBytes;
  drainInbox(streamId, stream);
  if (stream.inboxPauses || stream.inboxBytes <= host_.limits().bufferedBytesPerStream) return;
  stream.inboxPauses = true;
  stream.pausedSinceMs = host_.nowMs();
  ++pauses_;
}

void StreamTable::drainInbox(std::uint16_t streamId, Stream& stream) {
  while (stream.engineCredit > 0 && !stream.inbox.empty()) {
    const Queued& front = stream.inbox.front();
    const std::size_t bytes = userBytes(front.ppid, front.data.size());
    const auto kind =
        isText(front.ppid) ? protocol::PayloadFromPeerKind::Text : protocol::PayloadFromPeerKind::Binary;
    host_.payloadToEngine(self_, streamId, kind, std::span(front.data).first(bytes));
    stream.engineCredit -= static_cast<std::int64_t>(bytes + protocol::kMessageCreditOverheadBytes);
    stream.inboxBytes -= front.data.size() + protocol::kMessageCreditOverheadBytes;
    stream.inbox.pop_front();
  }
  if (stream.inboxPauses && stream.inboxBytes <= host_.limits().bufferedBytesPerStream / 2) {
    stream.inboxPauses = false;
    resume();
  }
}

void StreamTable::giveWindow(std::uint16_t streamId, Stream& stream) {
  if (!stream.open || !stream.creditSeen || stream.windowGiven) return;
  stream.windowGiven = true;
  host_.creditToEngine(self_, streamId, host_.limits().bufferedBytesPerStream);
}

/** Credit goes back in portions of a quarter of the window, so that small messages do not cost a frame each. */
void StreamTable::owe(std::uint16_t streamId, Stream& stream, std::size_t bytes) {
  stream.creditOwed += static_cast<std::uint32_t>(bytes + protocol::kMessageCreditOverheadBytes);
  if (stream.creditOwed < host_.limits().bufferedBytesPerStream / 4) return;
  host_.creditToEngine(self_, streamId, stream.creditOwed);
  stream.creditOwed = 0;
}

// ---- closing

void StreamTable::endAfterQueue(std::uint16_t streamId, WorkerError code, std::string_view detail) {
  const auto entry = streams_.find(streamId);
  if (entry == streams_.end() || !entry->second.open) return;
  if (entry->second.queue.empty()) {
    closeStream(streamId, code, detail);
    return;
  }
  entry->second.endCode = code;
  entry->second.endDetail = detail;
}

void StreamTable::closeStream(std::uint16_t streamId, WorkerError code, std::string_view detail) {
  const auto entry = streams_.find(streamId);
  if (entry == streams_.end() || !entry->second.open) return;
  Stream& stream = entry->second;
  stream.open = false;
  dropQueues(stream);
  reset(streamId);
  if (stream.route.sink == RouteSink::Payload) {
    host_.payloadToEngine(self_, streamId, protocol::PayloadFromPeerKind::End, {});
  }
  host_.streamChanged(self_, streamId, false, code, detail);
}

void StreamTable::dropQueues(Stream& stream) {
  const std::size_t lost = stream.queue.size() + stream.inbox.size();
  totals_.dropped += lost;
  stream.counters.dropped += lost;
  queuedBytes_ -= stream.queuedBytes;
  stream.queue = {};
  stream.queuedBytes = 0;
  stream.inbox = {};
  stream.inboxBytes = 0;
  stream.engineCredit = 0;
  stream.creditSeen = false;
  stream.windowGiven = false;
  stream.creditOwed = 0;
  stream.endCode.reset();
  if (stream.inboxPauses) {
    stream.inboxPauses = false;
    resume();
  }
  wakeWaiters(stream);
}

void StreamTable::reset(std::uint16_t streamId) {
  if (endpoint_ != nullptr && !endpoint_->resetStream(streamId)) pendingResets_.push_back(streamId);
}

std::optional<std::uint64_t> StreamTable::deadlineMs() const {
  // Asked for each turn: somebody who waits for a stream of ours means that it has a queue.
  if (pauses_ == 0 && blocked_.empty()) return std::nullopt;
  std::optional<std::uint64_t> earliest;
  for (const auto& [streamId, stream] : streams_) {
    if (stream.waiters.empty() && !stream.inboxPauses) continue;
    const std::uint64_t due = stream.pausedSinceMs + host_.limits().slowReaderLimitMs;
    earliest = std::min(earliest.value_or(due), due);
  }
  return earliest;
}

void StreamTable::onDeadline() {
  const std::uint64_t now = host_.nowMs();
  std::vector<std::uint16_t> slow;
  for (const auto& [streamId, stream] : streams_) {
    const bool blocks = !stream.waiters.empty() || stream.inboxPauses;
    if (blocks && now >= stream.pausedSinceMs + host_.limits().slowReaderLimitMs) slow.push_back(streamId);
  }
  for (const std::uint16_t streamId : slow) {
    const std::vector<Waiter> waiters = streams_[streamId].waiters;
    closeStream(streamId, WorkerError::SlowReader, "its reader has blocked its sender too long");
    for (const Waiter& waiter : waiters) {
      StreamTable* source = host_.streamsOf(waiter.id);
      if (source != nullptr) source->closeStream(waiter.streamId, WorkerError::SlowReader, "the far end reads too slowly");
    }
  }
}

std::vector<protocol::StreamStats> StreamTable::stats() const {
  constexpr std::size_t kMaxRecords = 1024;
  std::vector<protocol::StreamStats> records;
  for (const auto& [streamId, stream] : streams_) {
    if (!stream.used) continue;
    if (records.size() == kMaxRecords) break;
    protocol::StreamStats record;
    record.streamId = streamId;
    record.bufferedBytes = static_cast<std::uint32_t>(stream.queuedBytes + stream.inboxBytes);
    record.bytesReceived = stream.counters.bytesReceived;
    record.bytesSent = stream.counters.bytesSent;
    record.messagesReceived = stream.counters.messagesReceived;
    record.messagesSent = stream.counters.messagesSent;
    record.dropped = stream.counters.dropped;
    records.push_back(record);
  }
  return records;
}

}  // namespace imsdc
