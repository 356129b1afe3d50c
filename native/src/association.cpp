#include "association.h"

#include <algorithm>

namespace imsdc {
namespace {

using protocol::WorkerError;

constexpr std::uint64_t kHousekeepingMs = 5000;
constexpr std::uint64_t kAbortedWithinMs = 2000;
constexpr std::size_t kMaxIceSources = 8;
constexpr std::size_t kHalfOpenLimit = 1000;
constexpr std::uint32_t kSctpBufferSlackBytes = 64 * 1024;

}  // namespace

Association::Association(AssociationHost& host, HandleId id, std::shared_ptr<MediaPort> port)
    : host_(host),
      id_(id),
      port_(std::move(port)),
      streams_(host, id),
      timer_(host.loop(), [this] { onDeadline(); }),
      stateSinceMs_(host.nowMs()) {
  port_->attach(*this);
}

Association::~Association() {
  streams_.disconnected();
  sctp_.reset();  // ABORT, while DTLS can still carry it
  if (dtls_ != nullptr) dtls_->close();
  setHalfOpen(false);
  port_->detach(*this);
}

void Association::start(RemoteEnd remote, std::uint32_t peerMaxMessageBytes) {
  remote_ = std::move(remote);
  if (!remote_.ice) peer_ = remote_.address;  // with ICE only a checked address is sent to
  streams_.setPeerMaxMessage(peerMaxMessageBytes);
  streams_.setStreamCount(remote_.streams);
  startedMs_ = host_.nowMs();
  enter(AssociationState::connecting, WorkerError::Ok, "");
  if (remote_.role == DtlsRole::active) {
    beginActiveHandshake();
  } else if (remote_.pinhole && peer_.specified()) {
    port_->send(stun::bindingIndication(), peer_);
  }
  port_->playEarly(*this);
  schedule();
}

void Association::update(const NetAddress& address, std::uint32_t peerMaxMessageBytes) {
  streams_.setPeerMaxMessage(peerMaxMessageBytes);
  const bool moved = !(address == remote_.address);
  remote_.address = address;
  if (moved && !remote_.ice) peer_ = address;
}

// ---- datagrams

bool Association::takes(const NetAddress& from) const {
  if (!active()) return false;
  if (from == peer_ || from == remote_.address) return true;
  return std::find(provedByIce_.begin(), provedByIce_.end(), from) != provedByIce_.end();
}

bool Association::mayLatch() const {
  return state_ == AssociationState::connecting && remote_.natLatch && (dtls_ == nullptr || !dtls_->connected());
}

void Association::onTrace(std::span<const std::uint8_t> datagram, const NetAddress& remote, bool sent) {
  if (tracing_) host_.trace(id_, datagram, remote, sent);
}

void Association::onIceCheck(const NetAddress& from, bool nominated) {
  if (!takes(from)) {
    if (provedByIce_.size() == kMaxIceSources) provedByIce_.erase(provedByIce_.begin());
    provedByIce_.push_back(from);
  }
  if (nominated || !peer_.specified()) peer_ = from;
  if (remote_.role == DtlsRole::active && dtls_ == nullptr && state_ == AssociationState::connecting) {
    beginActiveHandshake();
    schedule();
  }
}

void Association::onDtls(std::span<std::uint8_t> datagram, const NetAddress& from) {
  ++datagramsReceived_;
  if (!active()) {
    ++datagramsIgnored_;
    return;
  }
  const bool handshaking = dtls_ == nullptr || !dtls_->connected();
  if (handshaking && remote_.role == DtlsRole::passive) {
    const std::optional<ClientHelloHead> hello = parseClientHello(datagram);
    if (hello && !admitClientHello(*hello, from)) return;
  }
  if (dtls_ == nullptr) {
    ++datagramsIgnored_;
    return;
  }
  // NAT option: until the certificate has been checked, the handshake follows its sender (R10).
  if (handshaking && remote_.natLatch && remote_.role == DtlsRole::active) peer_ = from;
  dtls_->receive(datagram);
  if (ending_) {
    const Ending ending = std::move(*ending_);
    ending_.reset();
    if (handshaking && !(from == remote_.address) && !remote_.ice) {
      forgetStranger();
    } else {
      fail(ending.state, ending.code, ending.detail);
      return;
    }
  }
  if (handshaking) schedule();
}

/** NAT option: a handshake that fails with somebody who is not where the SDP says proves nothing about the peer. */
void Association::forgetStranger() {
  ++datagramsIgnored_;
  peer_ = remote_.address;
  if (remote_.role == DtlsRole::active) {
    beginActiveHandshake();
  } else {
    dropSession();
  }
}

/**
 * The first ClientHello is free. One that competes with it (another random) has to prove by a cookie that it can receive
 * where it claims to come from, and then takes its place: so a spoofed hello costs one flight and cannot lock the peer
 * out. When too many handshakes are under way, everybody has to (RFC 6347 4.2.1).
 */
bool Association::admitClientHello(const ClientHelloHead& hello, const NetAddress& from) {
  const bool same = dtls_ != nullptr && std::equal(hello.random.begin(), hello.random.end(), clientRandom_.begin());
  if (same && from == peer_) return true;  // a retransmission, or the rest of a handshake under way
  if (!hello.cookie.empty() && host_.dtls().cookies().accepts(hello, from)) {
    newServerSession(hello, from, true);
    return true;
  }
  if (dtls_ == nullptr && hello.messageSequence == 0 && host_.halfOpen() < kHalfOpenLimit) {
    newServerSession(hello, from, false);
    return true;
  }
  const CookieJar::Cookie cookie = host_.dtls().cookies().make(hello, from);
  port_->send(helloVerifyRequest(hello, cookie), from);
  ++datagramsSent_;
  return false;
}

void Association::newServerSession(const ClientHelloHead& hello, const NetAddress& from, bool afterCookie) {
  dropSession();
  peer_ = from;
  std::copy(hello.random.begin(), hello.random.end(), clientRandom_.begin());
  dtls_ = std::make_unique<DtlsSession>(host_.dtls(), *this, DtlsRole::passive, remote_.fingerprints);
  setHalfOpen(true);
  if (afterCookie) dtls_->startAfterCookie();
}

void Association::beginActiveHandshake() {
  if (!peer_.specified()) return;
  dropSession();
  dtls_ = std::make_unique<DtlsSession>(host_.dtls(), *this, DtlsRole::active, remote_.fingerprints);
  dtls_->start();
}

void Association::dropSession() {
  dtls_.reset();
  setHalfOpen(false);
}

void Association::setHalfOpen(bool halfOpen) {
  if (halfOpen_ == halfOpen) return;
  halfOpen_ = halfOpen;
  if (halfOpen) {
    ++host_.halfOpen();
  } else {
    --host_.halfOpen();
  }
}

// ---- DTLS

void Association::dtlsOutput(std::span<const std::uint8_t> datagram) {
  ++datagramsSent_;
  port_->send(datagram, peer_);
}

void Association::dtlsConnected() {
  setHalfOpen(false);
  liveness_.heard(host_.nowMs());
  sctp_ = std::make_unique<SctpEndpoint>(*this, sctpOptions());
  if (!sctp_->connect()) ending_ = {AssociationState::failed, WorkerError::Internal, "no SCTP endpoint"};
}

SctpOptions Association::sctpOptions() const {
  const MediaLimits& limits = host_.limits();
  SctpOptions options;
  options.localPort = kSctpPort;
  options.remotePort = remote_.sctpPort;
  options.streams = remote_.streams;
  options.packetBytes = (host_.dtls().mtuBytes - static_cast<std::uint32_t>(DtlsRecords::kMaxOverheadBytes)) / 4 * 4;
  // Whole messages wait in both buffers, so each holds the longest twice, and for a relay a round trip's worth.
  const std::uint32_t least = 2 * limits.maxMessageBytes + kSctpBufferSlackBytes;
  options.receiveBufferBytes = std::max(least, 512U * 1024);
  options.sendBufferBytes = std::max(least, 512U * 1024);
  options.heartbeatMs = host_.heartbeatMs();
  return options;
}

void Association::dtlsContent(std::span<std::uint8_t> packet) {
  liveness_.heard(host_.nowMs());
  if (sctp_ != nullptr) sctp_->receive(packet);
}

void Association::dtlsEnded(DtlsEnd end, const std::string& detail) {
  switch (end) {
    case DtlsEnd::closedByPeer:
      ending_ = {AssociationState::closed, WorkerError::PeerClosed, detail};
      return;
    case DtlsEnd::fingerprintMismatch:
      ending_ = {AssociationState::failed, WorkerError::FingerprintMismatch, detail};
      return;
    case DtlsEnd::failed:
      ending_ = {AssociationState::failed, WorkerError::HandshakeFailed, detail};
      return;
  }
}

// ---- SCTP

void Association::sctpOutput(std::span<std::uint8_t> packet) {
  if (dtls_ != nullptr) dtls_->send(packet);
}

void Association::run() {
  if (sctp_ == nullptr) return;
  streams_.flush();
  while (!streams_.paused() && sctp_ != nullptr) {
    if (!handle(sctp_->next(host_.limits().maxMessageBytes))) break;
  }
  if (active()) schedule();
}

/** False: there is nothing more. */
bool Association::handle(SctpEvent event) {
  if (auto* message = std::get_if<sctp::Message>(&event)) {
    streams_.onMessage(*message);
  } else if (std::holds_alternative<sctp::Connected>(event)) {
    handshakeUs_ = static_cast<std::uint32_t>((host_.nowMs() - startedMs_) * 1000);
    enter(AssociationState::connected, WorkerError::Ok, "");
    streams_.connected(*sctp_);
    streams_.flush();
  } else if (auto* reset = std::get_if<sctp::PeerReset>(&event)) {
    streams_.onPeerReset(reset->streamIds);
  } else if (auto* done = std::get_if<sctp::ResetDone>(&event)) {
    streams_.onResetDone(*done);
  } else if (auto* oversize = std::get_if<sctp::Oversize>(&event)) {
    streams_.onOversize(oversize->streamId);
  } else if (auto* lost = std::get_if<sctp::Lost>(&event)) {
    // An ABORT has just been heard; a peer that is gone has not been heard for long.
    const bool heard = liveness_.silentMs(host_.nowMs()) < kAbortedWithinMs;
    fail(heard ? AssociationState::closed : AssociationState::failed,
         heard ? WorkerError::PeerClosed : WorkerError::PeerGone, lost->reason);
    return false;
  } else {
    return false;
  }
  return true;
}

// ---- life

void Association::enter(AssociationState state, WorkerError code, std::string_view detail) {
  state_ = state;
  stateSinceMs_ = host_.nowMs();
  host_.stateChanged(id_, state, code, detail, peer_);
}

void Association::fail(AssociationState state, WorkerError code, std::string_view detail) {
  if (!active()) return;
  streams_.disconnected();
  enter(state, code, detail);
  sctp_.reset();
  if (dtls_ != nullptr) dtls_->close();
  dropSession();
  timer_.cancel();
}

void Association::onDeadline() {
  const std::uint64_t now = host_.nowMs();
  if (state_ == AssociationState::connecting) {
    if (now >= startedMs_ + host_.associationTimeoutMs()) {
      fail(AssociationState::failed, WorkerError::HandshakeTimeout, "not connected in time");
      return;
    }
    if (dtls_ != nullptr && !dtls_->connected()) {
      const auto left = dtls_->timeoutMs();
      if (left && *left == 0) dtls_->onTimeout();
      if (ending_) {
        // OpenSSL has given up, we have not: a fresh hello, or a fresh wait for one (R5: for 60 s).
        ending_.reset();
        if (remote_.role == DtlsRole::active) {
          beginActiveHandshake();
        } else {
          dropSession();
        }
      }
    }
  } else if (state_ == AssociationState::connected) {
    streams_.onDeadline();
    checkPeerAlive();
  }
  if (active()) schedule();
}

void Association::checkPeerAlive() {
  const bool dataWaits = sctp_->stats().unacknowledgedChunks > 0;
  switch (liveness_.look(host_.nowMs(), dataWaits, host_.heartbeatMs())) {
    case PeerLiveness::Verdict::alive:
      return;
    case PeerLiveness::Verdict::dataUnanswered:
      return fail(AssociationState::failed, WorkerError::PeerGone, "data unanswered");
    case PeerLiveness::Verdict::heartbeatsUnanswered:
      return fail(AssociationState::failed, WorkerError::PeerGone, "heartbeats unanswered");
  }
}

void Association::schedule() {
  const std::uint64_t now = host_.nowMs();
  std::uint64_t due = now + kHousekeepingMs;
  if (state_ == AssociationState::connecting) {
    due = startedMs_ + host_.associationTimeoutMs();
    if (dtls_ != nullptr && !dtls_->connected()) {
      if (const auto left = dtls_->timeoutMs()) due = std::min(due, now + std::max(*left, 1U));
    }
  } else if (const auto slow = streams_.deadlineMs()) {
    due = std::min(due, std::max(*slow, now + 1));
  }
  // Busy associations come here for each packet: an earlier deadline of housekeeping may stand.
  if (timer_.armed() && timer_.deadlineMs() <= due && timer_.deadlineMs() > now) return;
  timer_.armAt(due);
}

protocol::AssociationStats Association::stats() const {
  constexpr std::uint32_t kChunkBytes = 1140;  // usrsctp tells chunks, not bytes
  protocol::AssociationStats record;
  record.handle = id_.handle;
  record.generation = id_.generation;
  record.state = static_cast<protocol::AssociationStatsState>(state_);
  record.stateAgeMs = static_cast<std::uint32_t>(host_.nowMs() - stateSinceMs_);
  record.handshakeUs = handshakeUs_;
  std::uint64_t buffered = streams_.queuedBytes();
  if (sctp_ != nullptr) {
    const SctpStats sctp = sctp_->stats();
    record.rttUs = sctp.srttMs * 1000;
    record.retransmissions = sctp.retransmittedChunks;
    buffered += std::uint64_t{sctp.unacknowledgedChunks + sctp.pendingChunks} * kChunkBytes;
  }
  record.bufferedBytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(buffered, UINT32_MAX));
  record.datagramsReceived = datagramsReceived_;
  record.datagramsSent = datagramsSent_;
  record.datagramsIgnored = datagramsIgnored_;
  const Counters& totals = streams_.totals();
  record.bytesReceived = totals.bytesReceived;
  record.bytesSent = totals.bytesSent;
  record.messagesReceived = totals.messagesReceived;
  record.messagesSent = totals.messagesSent;
  record.dropped = totals.dropped;
  record.streams = streams_.stats();
  return record;
}

}  // namespace imsdc
