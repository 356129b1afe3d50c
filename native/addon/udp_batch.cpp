// A UDP socket for Node that reads and writes datagrams many at a time: one call of the kernel, and one of JavaScript,
// for all that waits, where node:dgram takes both for each. What it does for whom: docs/decisions/0025-batched-udp.md.
//
//   new UdpBatch(address, port, bufferBytes, onReadable)   binds; throws an Error with the errno as `code`
//     .port                      the bound port
//     .received, .receivedInfo   datagrams of one read: kSlotBytes each; kInfoWords of information each
//     .outgoing, .outgoingInfo   what `send` takes: bytes anywhere in it; kInfoWords of information each
//     .send(count)               sends; how many were refused: the last word of each tells the errno, 0 for none
//     .parse(address, info)      writes the words of an address, false when it is none of this family
//     .sourceOf(index)           the text of the address that a received datagram came from
//     .close()                   any number of times; nothing is called back afterwards
//   onReadable(count)            so many datagrams in `received`; valid until it returns
//
// Information is 32-bit words: offset (outgoing only), length, port, address (IPv4: the first of four, in network order),
// scope id, errno.
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <node_api.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

// libuv is part of Node, and its headers are not on every machine: this is all that is needed of it, and stable (UV_POLL
// is the ninth handle type of libuv 1).
extern "C" {
struct uv_loop_s;
struct uv_handle_s;
struct uv_poll_s;
std::size_t uv_handle_size(int type);
int uv_poll_init(uv_loop_s* loop, uv_poll_s* handle, int descriptor);
int uv_poll_start(uv_poll_s* handle, int events, void (*ready)(uv_poll_s*, int status, int events));
int uv_poll_stop(uv_poll_s* handle);
void uv_close(uv_handle_s* handle, void (*closed)(uv_handle_s*));
void uv_handle_set_data(uv_handle_s* handle, void* data);
void* uv_handle_get_data(const uv_handle_s* handle);
}

namespace {

constexpr int kUvPoll = 8;
constexpr int kUvReadable = 1;

constexpr std::size_t kSlots = 32;
constexpr std::size_t kSlotBytes = 65'536;  // no datagram is longer
constexpr std::size_t kOutgoingSlots = 128;
constexpr std::size_t kOutgoingBytes = 1'048'576;
constexpr int kReadsPerTurn = 4;  // then others have their turn

enum Word : std::size_t { kOffset, kLength, kPort, kAddress, kScope = kAddress + 4, kErrno, kInfoWords };
using Info = std::int32_t;

union SocketAddress {
  sockaddr any;
  sockaddr_in v4;
  sockaddr_in6 v6;
};

socklen_t lengthOf(int family) { return family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6); }

SocketAddress fromWords(int family, const Info* info) {
  SocketAddress address{};
  address.any.sa_family = static_cast<sa_family_t>(family);
  const std::uint16_t port = htons(static_cast<std::uint16_t>(info[kPort]));
  if (family == AF_INET) {
    address.v4.sin_port = port;
    std::memcpy(&address.v4.sin_addr, info + kAddress, sizeof address.v4.sin_addr);
  } else {
    address.v6.sin6_port = port;
    std::memcpy(&address.v6.sin6_addr, info + kAddress, sizeof address.v6.sin6_addr);
    address.v6.sin6_scope_id = static_cast<std::uint32_t>(info[kScope]);
  }
  return address;
}

void toWords(const SocketAddress& address, Info* info) {
  if (address.any.sa_family == AF_INET) {
    info[kPort] = ntohs(address.v4.sin_port);
    std::memcpy(info + kAddress, &address.v4.sin_addr, sizeof address.v4.sin_addr);
  } else {
    info[kPort] = ntohs(address.v6.sin6_port);
    std::memcpy(info + kAddress, &address.v6.sin6_addr, sizeof address.v6.sin6_addr);
    info[kScope] = static_cast<Info>(address.v6.sin6_scope_id);
  }
}

/** An address as text, with the zone of a link-local one; false when it is none. */
bool parseAddress(const std::string& text, SocketAddress& address) {
  const bool v6 = text.find(':') != std::string::npos;
  address = {};
  address.any.sa_family = v6 ? AF_INET6 : AF_INET;
  if (!v6) return inet_pton(AF_INET, text.c_str(), &address.v4.sin_addr) == 1;
  const std::size_t percent = text.find('%');
  if (percent != std::string::npos) {
    const std::string zone = text.substr(percent + 1);
    const unsigned int index = if_nametoindex(zone.c_str());
    address.v6.sin6_scope_id = index != 0 ? index : static_cast<std::uint32_t>(std::strtoul(zone.c_str(), nullptr, 10));
  }
  return inet_pton(AF_INET6, text.substr(0, percent).c_str(), &address.v6.sin6_addr) == 1;
}

std::string textOf(const SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.any.sa_family == AF_INET) return inet_ntop(AF_INET, &address.v4.sin_addr, text.data(), text.size());
  std::string result = inet_ntop(AF_INET6, &address.v6.sin6_addr, text.data(), text.size());
  std::array<char, IF_NAMESIZE> zone{};
  if (address.v6.sin6_scope_id != 0 && if_indextoname(address.v6.sin6_scope_id, zone.data()) != nullptr)
    result += '%' + std::string(zone.data());
  return result;
}

std::string stringOf(napi_env env, napi_value value) {
  std::size_t length = 0;
  napi_get_value_string_utf8(env, value, nullptr, 0, &length);
  std::string text(length, '\0');
  napi_get_value_string_utf8(env, value, text.data(), length + 1, &length);
  return text;
}

std::int32_t numberOf(napi_env env, napi_value value) {
  std::int32_t number = 0;
  napi_get_value_int32(env, value, &number);
  return number;
}

class UdpBatch {
 public:
  ~UdpBatch() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  UdpBatch(const UdpBatch&) = delete;
  UdpBatch& operator=(const UdpBatch&) = delete;

  static napi_value construct(napi_env env, napi_callback_info info) {
    std::size_t count = 4;
    std::array<napi_value, 4> arguments{};
    napi_value self = nullptr;
    napi_get_cb_info(env, info, &count, arguments.data(), &self, nullptr);
    SocketAddress local{};
    if (!parseAddress(stringOf(env, arguments[0]), local)) return fail(env, EINVAL);
    (local.any.sa_family == AF_INET ? local.v4.sin_port : local.v6.sin6_port) =
        htons(static_cast<std::uint16_t>(numberOf(env, arguments[1])));
    std::unique_ptr<UdpBatch> socket(new UdpBatch(env, local.any.sa_family));
    if (!socket->bind(local, numberOf(env, arguments[2]))) return fail(env, errno);
    socket->listen(self, arguments[3], local);
    UdpBatch* kept = socket.release();
    napi_wrap(env, self, kept, [](napi_env, void* data, void*) { delete static_cast<UdpBatch*>(data); }, nullptr, nullptr);
    return self;
  }

  static napi_value send(napi_env env, napi_callback_info info) {
    napi_value argument = nullptr;
    UdpBatch* socket = self(env, info, &argument, 1);
    napi_value refused = nullptr;
    napi_create_int32(env, socket->sendAll(static_cast<std::size_t>(numberOf(env, argument))), &refused);
    return refused;
  }

  static napi_value parse(napi_env env, napi_callback_info info) {
    std::array<napi_value, 2> arguments{};
    UdpBatch* socket = self(env, info, arguments.data(), arguments.size());
    SocketAddress address{};
    const bool known = parseAddress(stringOf(env, arguments[0]), address) && address.any.sa_family == socket->family_;
    void* words = nullptr;
    std::size_t length = 0;
    napi_get_typedarray_info(env, arguments[1], nullptr, &length, &words, nullptr, nullptr);
    if (known && length >= kInfoWords) toWords(address, static_cast<Info*>(words));
    napi_value result = nullptr;
    napi_get_boolean(env, known, &result);
    return result;
  }

  static napi_value sourceOf(napi_env env, napi_callback_info info) {
    napi_value argument = nullptr;
    UdpBatch* socket = self(env, info, &argument, 1);
    const std::size_t index = static_cast<std::size_t>(numberOf(env, argument)) % kSlots;
    const std::string text = textOf(fromWords(socket->family_, socket->receivedInfo_ + index * kInfoWords));
    napi_value result = nullptr;
    napi_create_string_utf8(env, text.data(), text.size(), &result);
    return result;
  }

  static napi_value close(napi_env env, napi_callback_info info) {
    self(env, info, nullptr, 0)->release();
    return nullptr;
  }

 private:
  UdpBatch(napi_env env, int family) : env_(env), family_(family) {}

  static UdpBatch* self(napi_env env, napi_callback_info info, napi_value* arguments, std::size_t count) {
    napi_value object = nullptr;
    napi_get_cb_info(env, info, &count, arguments, &object, nullptr);
    void* data = nullptr;
    napi_unwrap(env, object, &data);
    return static_cast<UdpBatch*>(data);
  }

  static napi_value fail(napi_env env, int error) {
    napi_throw_error(env, std::to_string(error).c_str(), std::strerror(error));
    return nullptr;
  }

  bool bind(const SocketAddress& local, int bufferBytes) {
    descriptor_ = ::socket(family_, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor_ < 0) return false;
    const int on = 1;
    if (family_ == AF_INET6) setsockopt(descriptor_, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &bufferBytes, sizeof bufferBytes);
    setsockopt(descriptor_, SOL_SOCKET, SO_SNDBUF, &bufferBytes, sizeof bufferBytes);
    return ::bind(descriptor_, &local.any, lengthOf(family_)) == 0;
  }

  /** Everything that JavaScript sees of it; from here on the object lives until `release`. */
  void listen(napi_value object, napi_value onReadable, SocketAddress local) {
    socklen_t length = sizeof local;
    getsockname(descriptor_, &local.any, &length);
    napi_value port = nullptr;
    napi_create_int32(env_, ntohs(family_ == AF_INET ? local.v4.sin_port : local.v6.sin6_port), &port);
    napi_set_named_property(env_, object, "port", port);
    received_ = memory<std::uint8_t>(object, "received", kSlots * kSlotBytes);
    receivedInfo_ = memory<Info>(object, "receivedInfo", kSlots * kInfoWords);
    outgoing_ = memory<std::uint8_t>(object, "outgoing", kOutgoingBytes);
    outgoingInfo_ = memory<Info>(object, "outgoingInfo", kOutgoingSlots * kInfoWords);
    napi_create_reference(env_, object, 1, &object_);
    napi_create_reference(env_, onReadable, 1, &onReadable_);
    napi_value name = nullptr;
    napi_create_string_utf8(env_, "imsdc-udp", NAPI_AUTO_LENGTH, &name);
    napi_async_init(env_, object, name, &context_);
    uv_loop_s* loop = nullptr;
    napi_get_uv_event_loop(env_, &loop);
    poll_ = static_cast<uv_poll_s*>(std::calloc(1, uv_handle_size(kUvPoll)));
    uv_poll_init(loop, poll_, descriptor_);
    uv_handle_set_data(handle(), this);
    uv_poll_start(poll_, kUvReadable, [](uv_poll_s* poll, int, int) {
      static_cast<UdpBatch*>(uv_handle_get_data(reinterpret_cast<uv_handle_s*>(poll)))->readable();
    });
    napi_add_env_cleanup_hook(env_, stopped, this);
  }

  /** An ArrayBuffer that is a member of the object: it lives as long. */
  template <typename Element>
  Element* memory(napi_value object, const char* name, std::size_t count) {
    void* bytes = nullptr;
    napi_value buffer = nullptr;
    napi_create_arraybuffer(env_, count * sizeof(Element), &bytes, &buffer);
    const napi_property_descriptor member{name, nullptr, nullptr, nullptr, nullptr, buffer, napi_enumerable, nullptr};
    napi_define_properties(env_, object, 1, &member);
    return static_cast<Element*>(bytes);
  }

  uv_handle_s* handle() { return reinterpret_cast<uv_handle_s*>(poll_); }

  /** The process ends with the socket open. */
  static void stopped(void* data) { static_cast<UdpBatch*>(data)->release(); }

  void release() {
    if (descriptor_ < 0) return;
    uv_poll_stop(poll_);
    ::close(descriptor_);
    descriptor_ = -1;
    uv_close(handle(), [](uv_handle_s* closed) { std::free(closed); });
    poll_ = nullptr;
    napi_remove_env_cleanup_hook(env_, stopped, this);
    napi_async_destroy(env_, context_);
    napi_delete_reference(env_, onReadable_);
    napi_delete_reference(env_, object_);
  }

  void readable() {
    for (int read = 0; read < kReadsPerTurn && descriptor_ >= 0; ++read) {
      const int count = receive();
      if (count <= 0) return;  // nothing more, or the ICMP error of an earlier datagram
      tell(count);
      if (static_cast<std::size_t>(count) < kSlots) return;
    }
  }

  int receive() {
    std::array<mmsghdr, kSlots> headers{};
    std::array<iovec, kSlots> vectors{};
    std::array<SocketAddress, kSlots> sources{};
    for (std::size_t index = 0; index < kSlots; ++index) {
      vectors[index] = {received_ + index * kSlotBytes, kSlotBytes};
      msghdr& header = headers[index].msg_hdr;
      header.msg_name = &sources[index];
      header.msg_namelen = sizeof sources[index];
      header.msg_iov = &vectors[index];
      header.msg_iovlen = 1;
    }
    const int count = recvmmsg(descriptor_, headers.data(), kSlots, MSG_DONTWAIT, nullptr);
    for (int index = 0; index < count; ++index) {
      Info* info = receivedInfo_ + static_cast<std::size_t>(index) * kInfoWords;
      info[kLength] = static_cast<Info>(headers[static_cast<std::size_t>(index)].msg_len);
      toWords(sources[static_cast<std::size_t>(index)], info);
    }
    return count;
  }

  void tell(int count) {
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env_, &scope);
    napi_value object = nullptr;
    napi_value onReadable = nullptr;
    napi_value argument = nullptr;
    napi_get_reference_value(env_, object_, &object);
    napi_get_reference_value(env_, onReadable_, &onReadable);
    napi_create_int32(env_, count, &argument);
    if (napi_make_callback(env_, context_, object, onReadable, 1, &argument, nullptr) == napi_pending_exception) {
      napi_value error = nullptr;
      napi_get_and_clear_last_exception(env_, &error);
      napi_fatal_exception(env_, error);  // 'uncaughtException', as for every callback
    }
    napi_close_handle_scope(env_, scope);
  }

  std::int32_t sendAll(std::size_t count) {
    count = std::min(count, kOutgoingSlots);
    std::array<mmsghdr, kOutgoingSlots> headers{};
    std::array<iovec, kOutgoingSlots> vectors{};
    std::array<SocketAddress, kOutgoingSlots> targets{};
    for (std::size_t index = 0; index < count; ++index) {
      Info* info = outgoingInfo_ + index * kInfoWords;
      info[kErrno] = 0;
      const std::size_t offset = std::min(static_cast<std::size_t>(info[kOffset]), kOutgoingBytes);
      vectors[index] = {outgoing_ + offset, std::min(static_cast<std::size_t>(info[kLength]), kOutgoingBytes - offset)};
      targets[index] = fromWords(family_, info);
      msghdr& header = headers[index].msg_hdr;
      header.msg_name = &targets[index];
      header.msg_namelen = lengthOf(family_);
      header.msg_iov = &vectors[index];
      header.msg_iovlen = 1;
    }
    std::int32_t refused = 0;
    for (std::size_t sent = 0; sent < count;) {
      const int result = sendmmsg(descriptor_, headers.data() + sent, static_cast<unsigned int>(count - sent), MSG_DONTWAIT);
      if (result > 0) {
        sent += static_cast<std::size_t>(result);
      } else if (errno != EINTR) {
        outgoingInfo_[sent++ * kInfoWords + kErrno] = errno;
        ++refused;
      }
    }
    return refused;
  }

  napi_env env_;
  int family_;
  int descriptor_ = -1;
  uv_poll_s* poll_ = nullptr;
  napi_ref object_ = nullptr;
  napi_ref onReadable_ = nullptr;
  napi_async_context context_ = nullptr;
  std::uint8_t* received_ = nullptr;
  Info* receivedInfo_ = nullptr;
  std::uint8_t* outgoing_ = nullptr;
  Info* outgoingInfo_ = nullptr;
};

}  // namespace

NAPI_MODULE_INIT() {
  const auto method = [](const char* name, napi_callback call) {
    return napi_property_descriptor{name, nullptr, call, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  };
  const std::array<napi_property_descriptor, 4> methods{
      method("send", UdpBatch::send),
      method("parse", UdpBatch::parse),
      method("sourceOf", UdpBatch::sourceOf),
      method("close", UdpBatch::close),
  };
  napi_value constructor = nullptr;
  napi_define_class(env, "UdpBatch", NAPI_AUTO_LENGTH, UdpBatch::construct, nullptr, methods.size(), methods.data(),
                    &constructor);
  napi_set_named_property(env, exports, "UdpBatch", constructor);
  return exports;
}
