#include "worker.h"

#include <malloc.h>

#include <algorithm>
#include <cstdio>
#include <ctime>

namespace imsdc {
namespace {

using protocol::FrameType;
using protocol::WorkerError;

constexpr std::size_t kMaxControlBacklog = 16 * 1024 * 1024;  // the engine is gone or hung
constexpr std::size_t kMaxTraceBacklog = 1 << 20;
constexpr std::uint64_t kBudgetPeriodMs = 1000;
constexpr std::uint64_t kTrafficMs = 500;     // after the last packet usrsctp's timers may still be short
constexpr std::uint64_t kBusyTickMs = 10;
constexpr std::uint64_t kIdleTickMs = 200;
constexpr std::uint64_t kMaxTickMs = 100;
constexpr std::uint64_t kEndpointsPerTickMs = 25;  // usrsctp walks a list of all timers at each tick: 14 % of a set-up at 50

std::uint64_t epochUs() {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

}  // namespace

Worker::Worker(Loop& loop, UniqueFd control, UniqueFd payload)
    : loop_(loop),
      control_(
          loop, std::move(control), protocol::kMaxControlFrameBytes,
          [this](const Header& header, Body body) { onControl(header, body); },
          [this](const char* reason) { end(0, reason); }),
      payload_(
          loop, std::move(payload), protocol::kMaxPayloadFrameBytes,
          [this](const Header& header, Body body) { onPayload(header, body); },
          [this](const char* reason) { end(0, reason); }),
      tickedMs_(loop.nowMs()),
      budgetTimer_(loop, [this] { checkBudget(); }) {
  SctpStack::start();
  mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
  loop_.onTurnStart = [this](std::uint64_t now) { return turnStart(now); };
  loop_.onTurnEnd = [this] { turnEnd(); };
  budgetTimer_.armAfter(kBudgetPeriodMs);
}

Worker::~Worker() {
  // Associations speak to each other while they end: empty the table first.
  std::unordered_map<std::uint32_t, Entry> entries = std::move(entries_);
  entries_.clear();
  entries.clear();
  UdpSocket::flushAll();
}

void Worker::end(int code, const char* reason) {
  if (code != 0) std::fprintf(stderr, "media worker ends: %s\n", reason);
  exitCode_ = code;
  loop_.stop();
}

// ---- the turn of the loop

/**
 * usrsctp's time follows need: with traffic at least every 10 ms, else rarely; coarser the more timers it has to look at.
 * Heartbeats are no traffic: with 5,000 idle associations there is one every few milliseconds.
 */
std::uint64_t Worker::turnStart(std::uint64_t nowMs) {
  const std::size_t endpoints = SctpStack::endpoints();
  const std::uint64_t granularity = std::clamp<std::uint64_t>(endpoints / kEndpointsPerTickMs, 1, kMaxTickMs);
  const bool traffic = nowMs - trafficMs_ < kTrafficMs;
  const std::uint64_t idle = std::max(kIdleTickMs, granularity);
  if (nowMs - tickedMs_ >= (traffic ? granularity : idle)) {
    SctpStack::tick(static_cast<std::uint32_t>(nowMs - tickedMs_));
    tickedMs_ = nowMs;
  }
  if (endpoints == 0) return nowMs + kBudgetPeriodMs;
  return tickedMs_ + (traffic ? std::max(kBusyTickMs, granularity) : idle);
}

void Worker::turnEnd() {
  while (!awake_.empty()) {
    trafficMs_ = loop_.nowMs();
    const HandleId id = awake_.front();
    awake_.pop_front();
    const auto entry = entries_.find(id.handle);
    if (entry == entries_.end() || entry->second.generation != id.generation) continue;
    entry->second.awake = false;
    if (entry->second.association != nullptr) entry->second.association->run();
  }
  UdpSocket::flushAll();
  payload_.flush();
  control_.flush();
  if (control_.waiting() > kMaxControlBacklog) end(70, "the engine does not read its control socket");
}

void Worker::wake(HandleId id) {
  const auto entry = entries_.find(id.handle);
  if (entry == entries_.end() || entry->second.generation != id.generation || entry->second.awake) return;
  entry->second.awake = true;
  awake_.push_back(id);
}

void Worker::checkBudget() {
  budget_.sample();
  budgetTimer_.armAfter(kBudgetPeriodMs);
  if (dtls_ == nullptr) return;
  const bool over = overloaded_ ? !budget_.relaxed() || entries_.size() >= maxAssociations_
                                : budget_.exceeded() || entries_.size() >= maxAssociations_;
  if (over == overloaded_) return;
  overloaded_ = over;
  if (over) malloc_trim(0);  // the next sample tells whether it was only the allocator's cache
  protocol::Overload notice;
  notice.overloaded = over;
  notice.memoryBytes = budget_.resident();
  notice.associations = static_cast<std::uint32_t>(entries_.size());
  control_.send({FrameType::Overload, 0, 0, 0}, notice);
}

// ---- frames

template <typename Request>
void Worker::request(const Header& header, Body body, void (Worker::*answer)(const Header&, const Request&)) {
  protocol::Reader reader(body);
  Request decoded;
  if (!decoded.decode(reader) || !reader.done()) {
    error(header, WorkerError::BadFrame, "the body does not fit its definition");
    return;
  }
  (this->*answer)(header, decoded);
}

void Worker::onControl(const Header& header, Body body) {
  if (dtls_ == nullptr && header.type != FrameType::Hello) {
    end(65, "the first frame was not HELLO");
    return;
  }
  switch (header.type) {
    case FrameType::Hello:
      return request(header, body, &Worker::hello);
    case FrameType::Reserve:
      return request(header, body, &Worker::reserve);
    case FrameType::Start:
      return request(header, body, &Worker::start);
    case FrameType::Update:
      return request(header, body, &Worker::update);
    case FrameType::Streams:
      return request(header, body, &Worker::streams);
    case FrameType::Route:
      return request(header, body, &Worker::route);
    case FrameType::Flow:
      return request(header, body, &Worker::flow);
    case FrameType::Release:
      return request(header, body, &Worker::release);
    case FrameType::ResetStream:
      return request(header, body, &Worker::resetStream);
    case FrameType::Stats:
      return request(header, body, &Worker::stats);
    case FrameType::Trace:
      return request(header, body, &Worker::traceOn);
    case FrameType::Drain:
      return request(header, body, &Worker::drain);
    case FrameType::Ping:
      return request(header, body, &Worker::ping);
    default:
      end(65, "a frame that does not belong on the control socket");
  }
}

void Worker::onPayload(const Header& header, Body body) {
  Entry* entry = live(header);
  Association* target = entry != nullptr ? entry->association.get() : nullptr;
  if (target == nullptr) ++lateFrames_;
  protocol::Reader reader(body);
  if (header.type == FrameType::Payload) {
    protocol::Payload payload;
    if (target != nullptr && payload.decode(reader) && reader.done()) {
      target->streams().fromEngine(payload.streamId, payload.kind, payload.data);
    }
  } else if (header.type == FrameType::Credit) {
    protocol::Credit credit;
    if (target != nullptr && credit.decode(reader) && reader.done()) {
      target->streams().grant(credit.streamId, credit.bytes);
    }
  } else {
    end(65, "a frame that does not belong on the payload socket");
  }
}

void Worker::error(const Header& header, WorkerError code, std::string_view detail) {
  protocol::Error reply;
  reply.code = static_cast<std::uint16_t>(code);
  reply.detail = detail;
  control_.send({FrameType::Error, header.requestId, header.handle, header.generation}, reply);
}

Worker::Entry* Worker::live(const Header& header) {
  const auto entry = entries_.find(header.handle);
  if (entry == entries_.end() || entry->second.generation != header.generation) return nullptr;
  return &entry->second;
}

/** Answers UNKNOWN_HANDLE itself. */
Association* Worker::association(const Header& header) {
  Entry* entry = live(header);
  if (entry != nullptr && entry->association != nullptr) return entry->association.get();
  ++lateFrames_;
  error(header, WorkerError::UnknownHandle, "no such association is live");
  return nullptr;
}

bool Worker::mayTakeMore(const Header& header) {
  if (draining_) {
    error(header, WorkerError::Draining, "draining");
  } else if (entries_.contains(header.handle)) {
    error(header, WorkerError::HandleInUse, "the handle is live");
  } else if (entries_.size() >= maxAssociations_ || budget_.exceeded()) {
    error(header, WorkerError::Budget, entries_.size() >= maxAssociations_ ? "too many associations" : "out of memory budget");
  } else {
    return true;
  }
  return false;
}

// ---- what associations and streams report

StreamTable* Worker::streamsOf(HandleId id) {
  const auto entry = entries_.find(id.handle);
  if (entry == entries_.end() || entry->second.generation != id.generation) return nullptr;
  return entry->second.association != nullptr ? &entry->second.association->streams() : nullptr;
}

void Worker::payloadToEngine(HandleId id, std::uint16_t streamId, protocol::PayloadFromPeerKind kind,
                             std::span<const std::uint8_t> data) {
  protocol::PayloadFromPeer frame;
  frame.streamId = streamId;
  frame.kind = kind;
  frame.data = data;
  payload_.send({FrameType::PayloadFromPeer, 0, id.handle, id.generation}, frame);
}

void Worker::creditToEngine(HandleId id, std::uint16_t streamId, std::uint32_t bytes) {
  protocol::CreditFromWorker frame;
  frame.streamId = streamId;
  frame.bytes = bytes;
  payload_.send({FrameType::CreditFromWorker, 0, id.handle, id.generation}, frame);
}

void Worker::streamChanged(HandleId id, std::uint16_t streamId, bool open, WorkerError code, std::string_view detail) {
  protocol::Stream frame;
  frame.streamId = streamId;
  frame.state = open ? protocol::StreamState::Open : protocol::StreamState::Closed;
  frame.code = static_cast<std::uint16_t>(code);
  frame.detail = detail;
  control_.send({FrameType::Stream, 0, id.handle, id.generation}, frame);
}

void Worker::stateChanged(HandleId id, AssociationState state, WorkerError code, std::string_view detail,
                          const NetAddress& peer) {
  protocol::State frame;
  frame.state = static_cast<protocol::StateState>(state);
  frame.code = static_cast<std::uint16_t>(code);
  frame.detail = detail;
  const std::string host = peer.specified() ? peer.host() : "";
  frame.remoteAddress = host;
  frame.remotePort = peer.specified() ? peer.port() : 0;
  control_.send({FrameType::State, 0, id.handle, id.generation}, frame);
}

void Worker::trace(HandleId id, std::span<const std::uint8_t> datagram, const NetAddress& remote, bool sent) {
  if (payload_.waiting() > kMaxTraceBacklog || datagram.size() > 2048) return;
  protocol::TraceData frame;
  frame.sent = sent;
  frame.atUs = epochUs();
  const std::string host = remote.host();
  frame.remoteAddress = host;
  frame.remotePort = remote.port();
  frame.datagram = datagram;
  payload_.send({FrameType::TraceData, 0, id.handle, id.generation}, frame);
}

}  // namespace imsdc
