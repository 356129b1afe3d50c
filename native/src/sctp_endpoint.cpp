#include "sctp_endpoint.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <usrsctp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <deque>
#include <type_traits>

#include "crc32c.h"
#include "stack_clock.h"

namespace imsdc {
namespace {

constexpr std::uint32_t kCommonHeaderBytes = 12;
constexpr std::size_t kReadBufferBytes = 512 * 1024;  // one per process: messages are handed on before the next read
constexpr std::uint32_t kHashBuckets = 8192;
constexpr std::uint32_t kPerEndpointBuckets = 1;  // one association each
constexpr std::uint32_t kRtoMinMs = 200;          // RFC 9260 6.3.1 recommends 1 s, meant for a 200 ms delayed SACK
constexpr std::uint32_t kRtoInitialMs = 1000;
constexpr std::uint32_t kRtoMaxMs = 10'000;
constexpr std::uint32_t kDelayedSackMs = 20;
constexpr std::uint16_t kMaxRetransmissions = 10;
constexpr int kBindAttempts = 64;
constexpr std::uint16_t kAllPolicies = 0x000f;  // SCTP_PR_SCTP_ALL of RFC 7496 4.3, missing in usrsctp's header

/** The only address inside usrsctp; what tells endpoints apart is the port. */
void* const kAddress = reinterpret_cast<void*>(std::uintptr_t{1});

sockaddr_conn addressOf(std::uint16_t port) {
  sockaddr_conn address{};
  address.sconn_family = AF_CONN;
  address.sconn_port = htons(port);
  address.sconn_addr = kAddress;
  return address;
}

/**
 *  0                   1                   2                   3
 * |      Source port number       |   Destination port number     |
 * |                       Verification tag                        |
 * |                           Checksum                            |   RFC 9260 3.1
 */
std::uint16_t readPort(const std::uint8_t* field) { return static_cast<std::uint16_t>(field[0] << 8 | field[1]); }
void writePort(std::uint8_t* field, std::uint16_t port) {
  field[0] = static_cast<std::uint8_t>(port >> 8);
  field[1] = static_cast<std::uint8_t>(port);
}

/** Slots are re-used in the order in which they became free, so a closing endpoint's port rests as long as possible. */
class Slots {
 public:
  std::uint16_t take(SctpEndpoint* endpoint) {
    std::uint16_t slot = 0;
    if (table_.size() <= kSlotsBeforeReuse || free_.empty()) {
      if (table_.size() > kMaxSlot) return 0;
      slot = static_cast<std::uint16_t>(table_.size());
      table_.push_back(nullptr);
    } else {
      slot = free_.front();
      free_.pop_front();
    }
    table_[slot] = endpoint;
    ++used_;
    return slot;
  }
  void give(std::uint16_t slot) {
    table_[slot] = nullptr;
    free_.push_back(slot);
    --used_;
  }
  [[nodiscard]] SctpEndpoint* find(std::uint16_t slot) const { return slot < table_.size() ? table_[slot] : nullptr; }
  [[nodiscard]] std::size_t used() const { return used_; }

 private:
  static constexpr std::size_t kSlotsBeforeReuse = 1024;
  static constexpr std::size_t kMaxSlot = 65'535;
  std::vector<SctpEndpoint*> table_{nullptr};  // port 0 is never a slot
  std::deque<std::uint16_t> free_;
  std::size_t used_ = 0;
};

Slots& slots() {
  static Slots instance;
  return instance;
}

std::vector<std::uint8_t>& readBuffer() {
  static std::vector<std::uint8_t> buffer(kReadBufferBytes);
  return buffer;
}

template <typename Value>
bool setOption(struct ::socket* socket, int level, int name, const Value& value) {
  return usrsctp_setsockopt(socket, level, name, &value, sizeof value) == 0;
}

}  // namespace

/** What usrsctp calls. Nothing may be thrown across it: owners only write to buffers and lists. */
struct SctpCallbacks {
  static int output(void*, void* buffer, std::size_t length, std::uint8_t, std::uint8_t) {
    if (length < kCommonHeaderBytes) return 0;
    auto* bytes = static_cast<std::uint8_t*>(buffer);
    SctpEndpoint* endpoint = slots().find(readPort(bytes));
    if (endpoint == nullptr) return 0;  // a closed endpoint's last words
    writePort(bytes, endpoint->options_.localPort);
    const std::span packet{bytes, length};
    endpoint->countRetransmissions(packet);
    const std::uint32_t checksum = sctpChecksum(packet);
    for (int index = 0; index < 4; ++index) bytes[8 + index] = static_cast<std::uint8_t>(checksum >> (8 * index));
    endpoint->owner_.sctpOutput(packet);
    return 0;
  }

  static void upcall(struct ::socket*, void* argument, int) {
    const auto slot = static_cast<std::uint16_t>(reinterpret_cast<std::uintptr_t>(argument));
    if (SctpEndpoint* endpoint = slots().find(slot); endpoint != nullptr) endpoint->owner_.sctpActive();
  }
};

void SctpStack::start() {
  static bool started = false;
  if (started) return;
  started = true;
  usrsctp_tunable_set_sctp_hashtblsize(kHashBuckets);
  usrsctp_tunable_set_sctp_pcbtblsize(kPerEndpointBuckets);
  usrsctp_init_nothreads(0, SctpCallbacks::output, nullptr);
  usrsctp_enable_crc32c_offload();
  usrsctp_register_address(kAddress);
  usrsctp_sysctl_set_sctp_ecn_enable(0);
  usrsctp_sysctl_set_sctp_auto_asconf(0);
  usrsctp_sysctl_set_sctp_asconf_enable(0);
  usrsctp_sysctl_set_sctp_auth_enable(0);
  usrsctp_sysctl_set_sctp_nrsack_enable(0);
  usrsctp_sysctl_set_sctp_pktdrop_enable(0);
  usrsctp_sysctl_set_sctp_pr_enable(1);
  usrsctp_sysctl_set_sctp_reconfig_enable(1);
  usrsctp_sysctl_set_sctp_blackhole(2);
  usrsctp_sysctl_set_sctp_initial_cwnd(10);  // RFC 6928, as browsers do
  usrsctp_sysctl_set_sctp_max_burst_default(10);
  usrsctp_sysctl_set_sctp_max_chunks_on_queue(10 * 1024);
  usrsctp_sysctl_set_sctp_delayed_sack_time_default(kDelayedSackMs);
  usrsctp_sysctl_set_sctp_rto_min_default(kRtoMinMs);
  usrsctp_sysctl_set_sctp_rto_max_default(kRtoMaxMs);
  usrsctp_sysctl_set_sctp_rto_initial_default(kRtoInitialMs);
  usrsctp_sysctl_set_sctp_init_rto_max_default(kRtoMaxMs);
  usrsctp_sysctl_set_sctp_init_rtx_max_default(kMaxRetransmissions);
  usrsctp_sysctl_set_sctp_assoc_rtx_max_default(kMaxRetransmissions);
  usrsctp_sysctl_set_sctp_path_rtx_max_default(kMaxRetransmissions);
  // Freed chunks kept for re-use: per association they would be memory that an idle one never gives back.
  usrsctp_sysctl_set_sctp_asoc_free_resc_limit(0);
}

void SctpStack::tick(std::uint32_t elapsedMs) {
  advanceStackClock(elapsedMs);
  usrsctp_handle_timers(elapsedMs);
}

std::size_t SctpStack::endpoints() { return slots().used(); }

SctpEndpoint::SctpEndpoint(SctpOwner& owner, const SctpOptions& options) : owner_(owner), options_(options) {}

SctpEndpoint::~SctpEndpoint() {
  if (socket_ != nullptr) {
    const linger abortNow{1, 0};
    setOption(socket_, SOL_SOCKET, SO_LINGER, abortNow);
    usrsctp_set_upcall(socket_, nullptr, nullptr);
    usrsctp_close(socket_);
  }
  if (slot_ != 0) slots().give(slot_);
}

bool SctpEndpoint::connect() {
  SctpStack::start();
  socket_ = usrsctp_socket(AF_CONN, SOCK_STREAM, IPPROTO_SCTP, nullptr, nullptr, 0, nullptr);
  if (socket_ == nullptr) return false;
  usrsctp_set_non_blocking(socket_, 1);
  bool bound = false;
  // usrsctp may still hold the port of an endpoint that is being torn down: then the next one.
  for (int attempt = 0; attempt < kBindAttempts && !bound; ++attempt) {
    slot_ = slots().take(this);
    if (slot_ == 0) return false;
    sockaddr_conn local = addressOf(slot_);
    bound = usrsctp_bind(socket_, reinterpret_cast<sockaddr*>(&local), sizeof local) == 0;
    if (!bound) {
      slots().give(slot_);
      slot_ = 0;
    }
  }
  if (!bound) return false;
  usrsctp_set_upcall(socket_, SctpCallbacks::upcall, reinterpret_cast<void*>(std::uintptr_t{slot_}));
  applyOptions();
  sockaddr_conn remote = addressOf(options_.remotePort);
  return usrsctp_connect(socket_, reinterpret_cast<sockaddr*>(&remote), sizeof remote) == 0 || errno == EINPROGRESS;
}

void SctpEndpoint::applyOptions() {
  const int on = 1;
  setOption(socket_, IPPROTO_SCTP, SCTP_NODELAY, on);
  setOption(socket_, IPPROTO_SCTP, SCTP_RECVRCVINFO, on);
  const int sendBuffer = static_cast<int>(options_.sendBufferBytes);
  const int receiveBuffer = static_cast<int>(options_.receiveBufferBytes);
  setOption(socket_, SOL_SOCKET, SO_SNDBUF, sendBuffer);
  setOption(socket_, SOL_SOCKET, SO_RCVBUF, receiveBuffer);
  // Messages are handed over whole: partial delivery would let one long message lock every other stream's reader.
  const std::uint32_t wholeMessages = options_.receiveBufferBytes;
  setOption(socket_, IPPROTO_SCTP, SCTP_PARTIAL_DELIVERY_POINT, wholeMessages);

  sctp_initmsg init{};
  init.sinit_num_ostreams = options_.streams;
  init.sinit_max_instreams = options_.streams;
  setOption(socket_, IPPROTO_SCTP, SCTP_INITMSG, init);

  sctp_paddrparams path{};
  path.spp_address.ss_family = AF_CONN;
  path.spp_flags = SPP_PMTUD_DISABLE | SPP_HB_ENABLE;
  path.spp_pathmtu = options_.packetBytes - kCommonHeaderBytes;  // usrsctp adds the common header for AF_CONN
  path.spp_hbinterval = options_.heartbeatMs;
  setOption(socket_, IPPROTO_SCTP, SCTP_PEER_ADDR_PARAMS, path);

  sctp_assoc_value reset{};
  reset.assoc_id = SCTP_ALL_ASSOC;
  reset.assoc_value = SCTP_ENABLE_RESET_STREAM_REQ;  // no association resets, no added streams (R13)
  setOption(socket_, IPPROTO_SCTP, SCTP_ENABLE_STREAM_RESET, reset);

  for (const std::uint16_t type : std::initializer_list<std::uint16_t>{SCTP_ASSOC_CHANGE, SCTP_STREAM_RESET_EVENT}) {
    struct sctp_event event{};
    event.se_assoc_id = SCTP_ALL_ASSOC;
    event.se_type = type;
    event.se_on = 1;
    setOption(socket_, IPPROTO_SCTP, SCTP_EVENT, event);
  }
}

/** usrsctp tells no such figure per association, so the TSNs that leave are looked at (RFC 9260 3.3.1). */
void SctpEndpoint::countRetransmissions(std::span<const std::uint8_t> packet) {
  constexpr std::size_t kChunkHeaderBytes = 4;
  constexpr std::size_t kTsnEnd = 8;
  std::span<const std::uint8_t> rest = packet.subspan(kCommonHeaderBytes);
  while (rest.size() >= kTsnEnd) {
    const std::size_t length = readPort(rest.data() + 2);
    if (length < kChunkHeaderBytes) return;
    if (rest[0] == SCTP_DATA) {
      std::uint32_t tsn = 0;
      std::memcpy(&tsn, rest.data() + kChunkHeaderBytes, sizeof tsn);
      tsn = ntohl(tsn);
      // Serial number arithmetic: not newer than the newest means that it has been sent before.
      if (anyTsn_ && static_cast<std::int32_t>(tsn - highestTsn_) <= 0) {
        ++retransmittedChunks_;
      } else {
        highestTsn_ = tsn;
        anyTsn_ = true;
      }
    }
    const std::size_t padded = (length + 3) / 4 * 4;
    if (padded >= rest.size()) return;
    rest = rest.subspan(padded);
  }
}

void SctpEndpoint::receive(std::span<std::uint8_t> packet) {
  const bool forUs = packet.size() >= kCommonHeaderBytes && packet.size() % 4 == 0 && slot_ != 0 &&
                     readPort(packet.data()) == options_.remotePort &&
                     readPort(packet.data() + 2) == options_.localPort;
  if (!forUs) {
    ++droppedPackets_;
    return;
  }
  // DTLS has authenticated every byte, so the checksum can only be wrong if the peer computes it wrongly.
  writePort(packet.data() + 2, slot_);
  usrsctp_conninput(kAddress, packet.data(), packet.size(), 0);
}

SctpSend SctpEndpoint::send(std::uint16_t streamId, std::uint32_t ppid, std::span<const std::uint8_t> data,
                            const SctpDelivery& delivery) {
  if (!connected_ || streamId >= outboundStreams_ || data.empty()) return SctpSend::refused;
  if (data.size() > options_.sendBufferBytes) return SctpSend::tooLong;
  sctp_sendv_spa info{};
  info.sendv_flags = SCTP_SEND_SNDINFO_VALID;
  info.sendv_sndinfo.snd_sid = streamId;
  info.sendv_sndinfo.snd_ppid = htonl(ppid);
  info.sendv_sndinfo.snd_flags = static_cast<std::uint16_t>(SCTP_EOR | (delivery.ordered ? 0 : SCTP_UNORDERED));
  if (delivery.hasMaxRetransmissions || delivery.hasMaxTimeMs) {
    info.sendv_flags |= SCTP_SEND_PRINFO_VALID;
    info.sendv_prinfo.pr_policy = delivery.hasMaxRetransmissions ? SCTP_PR_SCTP_RTX : SCTP_PR_SCTP_TTL;
    info.sendv_prinfo.pr_value = delivery.limit;
  }
  const ssize_t sent = usrsctp_sendv(socket_, data.data(), data.size(), nullptr, 0, &info, sizeof info,
                                     SCTP_SENDV_SPA, 0);
  if (sent >= 0) return SctpSend::accepted;
  if (errno == EWOULDBLOCK || errno == EAGAIN || errno == ENOBUFS) return SctpSend::wouldBlock;
  return errno == EMSGSIZE ? SctpSend::tooLong : SctpSend::refused;
}

SctpEvent SctpEndpoint::next(std::size_t maxMessageBytes) {
  if (socket_ == nullptr) return {};
  std::vector<std::uint8_t>& buffer = readBuffer();
  for (;;) {
    sctp_rcvinfo received{};
    socklen_t receivedLength = sizeof received;
    unsigned int infoType = 0;
    int flags = 0;
    const ssize_t length = usrsctp_recvv(socket_, buffer.data(), buffer.size(), nullptr, nullptr, &received,
                                         &receivedLength, &infoType, &flags);
    if (length <= 0) return {};
    const std::span<const std::uint8_t> bytes{buffer.data(), static_cast<std::size_t>(length)};
    if ((flags & MSG_NOTIFICATION) != 0) {
      SctpEvent event = notification(bytes);
      if (std::holds_alternative<std::monostate>(event)) continue;
      return event;
    }
    const bool complete = (flags & MSG_EOR) != 0;
    if (skippingOversize_) {
      skippingOversize_ = !complete;
      continue;
    }
    if (partial_.size() + bytes.size() > maxMessageBytes) {
      skippingOversize_ = !complete;
      partial_ = {};
      return sctp::Oversize{received.rcv_sid};
    }
    if (!complete) {
      partial_.insert(partial_.end(), bytes.begin(), bytes.end());
      continue;
    }
    if (partial_.empty()) return sctp::Message{received.rcv_sid, ntohl(received.rcv_ppid), bytes};
    partial_.insert(partial_.end(), bytes.begin(), bytes.end());
    std::copy(partial_.begin(), partial_.end(), buffer.begin());  // fits: it is at most maxMessageBytes
    const std::size_t total = partial_.size();
    partial_ = {};
    return sctp::Message{received.rcv_sid, ntohl(received.rcv_ppid), {buffer.data(), total}};
  }
}

SctpEvent SctpEndpoint::notification(std::span<const std::uint8_t> bytes) {
  union sctp_notification note {};
  if (bytes.size() < sizeof note.sn_header) return {};
  std::memcpy(&note, bytes.data(), std::min(bytes.size(), sizeof note));
  if (note.sn_header.sn_type == SCTP_ASSOC_CHANGE) {
    const sctp_assoc_change& change = note.sn_assoc_change;
    switch (change.sac_state) {
      case SCTP_COMM_UP:
        connected_ = true;
        outboundStreams_ = change.sac_outbound_streams;
        return sctp::Connected{change.sac_inbound_streams, change.sac_outbound_streams};
      case SCTP_RESTART:
        return {};  // same peer, same DTLS: the streams start over
      case SCTP_COMM_LOST:
        connected_ = false;
        return sctp::Lost{"SCTP association lost"};
      case SCTP_SHUTDOWN_COMP:
        connected_ = false;
        return sctp::Lost{"SCTP association shut down"};
      default:
        connected_ = false;
        return sctp::Lost{"SCTP association could not start"};
    }
  }
  if (note.sn_header.sn_type == SCTP_STREAM_RESET_EVENT) {
    const std::uint16_t flags = note.sn_strreset_event.strreset_flags;
    constexpr std::size_t kFixed = offsetof(sctp_stream_reset_event, strreset_stream_list);
    std::vector<std::uint16_t> ids((bytes.size() - std::min(bytes.size(), kFixed)) / sizeof(std::uint16_t));
    if (!ids.empty()) std::memcpy(ids.data(), bytes.data() + kFixed, ids.size() * sizeof(std::uint16_t));
    const bool denied = (flags & (SCTP_STREAM_RESET_DENIED | SCTP_STREAM_RESET_FAILED)) != 0;
    if ((flags & SCTP_STREAM_RESET_OUTGOING_SSN) != 0) return sctp::ResetDone{std::move(ids), denied};
    if (!denied && (flags & SCTP_STREAM_RESET_INCOMING_SSN) != 0) return sctp::PeerReset{std::move(ids)};
  }
  return {};
}

bool SctpEndpoint::resetStream(std::uint16_t streamId) {
  if (!connected_ || streamId >= outboundStreams_) return false;
  std::array<std::uint8_t, sizeof(sctp_reset_streams) + sizeof(std::uint16_t)> storage{};
  auto* request = reinterpret_cast<sctp_reset_streams*>(storage.data());
  request->srs_assoc_id = SCTP_ALL_ASSOC;
  request->srs_flags = SCTP_STREAM_RESET_OUTGOING;
  request->srs_number_streams = 1;
  std::memcpy(storage.data() + offsetof(sctp_reset_streams, srs_stream_list), &streamId, sizeof streamId);
  return usrsctp_setsockopt(socket_, IPPROTO_SCTP, SCTP_RESET_STREAMS, storage.data(),
                            static_cast<socklen_t>(storage.size())) == 0;
}

void SctpEndpoint::setPriority(std::uint16_t streamId, std::uint16_t rank) {
  if (!connected_ || streamId >= outboundStreams_) return;
  if (!prioritised_) {
    sctp_assoc_value scheduler{};
    scheduler.assoc_id = SCTP_ALL_ASSOC;
    scheduler.assoc_value = SCTP_SS_PRIORITY;
    prioritised_ = setOption(socket_, IPPROTO_SCTP, SCTP_PLUGGABLE_SS, scheduler);
  }
  sctp_stream_value value{};
  value.stream_id = streamId;
  value.stream_value = rank;
  setOption(socket_, IPPROTO_SCTP, SCTP_SS_VALUE, value);
}

SctpStats SctpEndpoint::stats() const {
  SctpStats result;
  result.retransmittedChunks = retransmittedChunks_;
  if (socket_ == nullptr) return result;
  sctp_status status{};
  socklen_t length = sizeof status;
  if (usrsctp_getsockopt(socket_, IPPROTO_SCTP, SCTP_STATUS, &status, &length) == 0) {
    result.srttMs = status.sstat_primary.spinfo_srtt;
    result.congestionWindow = status.sstat_primary.spinfo_cwnd;
    result.peerWindow = status.sstat_rwnd;
    result.unacknowledgedChunks = status.sstat_unackdata;
    result.pendingChunks = status.sstat_penddata;
  }
  sctp_prstatus abandoned{};
  abandoned.sprstat_policy = kAllPolicies;
  length = sizeof abandoned;
  if (usrsctp_getsockopt(socket_, IPPROTO_SCTP, SCTP_PR_ASSOC_STATUS, &abandoned, &length) == 0) {
    result.abandonedMessages = abandoned.sprstat_abandoned_unsent + abandoned.sprstat_abandoned_sent;
  }
  return result;
}

}  // namespace imsdc
