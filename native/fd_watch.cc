// SPDX-License-Identifier: Apache-2.0
// Tells JavaScript that a descriptor became readable.
//
// A thread waits in epoll and does nothing else: it never touches JavaScript's memory and never reads. After a
// notification it stays silent until rearm(), so at most one is under way and a slow reader bounds memory.
#include <napi.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "args.h"
#include "register.h"

namespace mapwire {

namespace {

class FdWatch : public Napi::ObjectWrap<FdWatch> {
 public:
  static void Register(Napi::Env env, Napi::Object exports) {
    exports.Set("FdWatch", DefineClass(env, "FdWatch",
                                       {
                                           InstanceMethod<&FdWatch::Rearm>("rearm"),
                                           InstanceMethod<&FdWatch::Ref>("ref"),
                                           InstanceMethod<&FdWatch::Unref>("unref"),
                                           InstanceMethod<&FdWatch::Close>("close"),
                                       }));
  }

  // new FdWatch(fd, callback): begins armed; throws {errno, syscall}
  explicit FdWatch(const Napi::CallbackInfo& info) : Napi::ObjectWrap<FdWatch>(info) {
    fd_ = UniqueFd::Duplicate(AnyFdArg(info, 0));
    epoll_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
    stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event stop{};
    stop.events = EPOLLIN;
    stop.data.u32 = kStop;
    if (!fd_.valid() || !epoll_.valid() || !stop_.valid() ||
        epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, stop_.get(), &stop) != 0 || Control(EPOLL_CTL_ADD) != 0) {
      int error = errno;
      Napi::Error result = Napi::Error::New(info.Env(), std::string("epoll: ") + strerror(error));
      result.Set("errno", Napi::Number::New(info.Env(), error));
      result.Set("syscall", Napi::String::New(info.Env(), "epoll_ctl"));
      throw result;
    }
    env_ = info.Env();
    notify_ = Napi::ThreadSafeFunction::New(info.Env(), info[1].As<Napi::Function>(), "FdWatch", 1, 1);
    // Runs before the function above is torn down: hooks run in reverse order.
    napi_add_env_cleanup_hook(env_, CleanUp, this);
    hooked_ = true;
    thread_ = std::thread(&FdWatch::Run, this);
  }

  ~FdWatch() override { Stop(); }

 private:
  static constexpr uint32_t kStop = 0;
  static constexpr uint32_t kReadable = 1;

  int Control(int operation) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLONESHOT;
    event.data.u32 = kReadable;
    return epoll_ctl(epoll_.get(), operation, fd_.get(), &event);
  }

  void Run() {
    for (;;) {
      epoll_event event{};
      int count = epoll_wait(epoll_.get(), &event, 1, -1);
      if (count < 0 && errno != EINTR) return;
      if (count <= 0) continue;
      if (event.data.u32 == kStop) return;
      notify_.NonBlockingCall();
    }
  }

  static void CleanUp(void* self) {
    auto* watch = static_cast<FdWatch*>(self);
    watch->hooked_ = false;
    watch->Stop();
  }

  void Stop() {
    if (!thread_.joinable()) return;
    uint64_t one = 1;
    ssize_t written = write(stop_.get(), &one, sizeof(one));
    (void)written;  // an eventfd at 0 takes it
    thread_.join();
    notify_.Abort();
    if (hooked_) napi_remove_env_cleanup_hook(env_, CleanUp, this);
    hooked_ = false;
    epoll_.Reset(-1);
    fd_.Reset(-1);
    stop_.Reset(-1);
  }

  Napi::Value Rearm(const Napi::CallbackInfo& info) {
    if (thread_.joinable()) Control(EPOLL_CTL_MOD);
    return info.Env().Undefined();
  }

  Napi::Value Ref(const Napi::CallbackInfo& info) {
    if (thread_.joinable()) notify_.Ref(info.Env());
    return info.Env().Undefined();
  }

  Napi::Value Unref(const Napi::CallbackInfo& info) {
    if (thread_.joinable()) notify_.Unref(info.Env());
    return info.Env().Undefined();
  }

  Napi::Value Close(const Napi::CallbackInfo& info) {
    Stop();
    return info.Env().Undefined();
  }

  napi_env env_ = nullptr;
  bool hooked_ = false;
  UniqueFd fd_, epoll_, stop_;
  Napi::ThreadSafeFunction notify_;
  std::thread thread_;
};

}  // namespace

void RegisterFdWatch(Napi::Env env, Napi::Object exports) {
  FdWatch::Register(env, exports);
}

}  // namespace mapwire
