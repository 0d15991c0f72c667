// SPDX-License-Identifier: Apache-2.0
// Work on the thread pool that settles a promise.
#pragma once

#include <napi.h>

#include <functional>
#include <utility>

namespace mapwire {

class PromiseWork : public Napi::AsyncWorker {
 public:
  // `work` runs on a pool thread and touches nothing of JavaScript; `finish` makes the promise's value.
  // `keep` stays alive until then.
  static Napi::Promise Queue(Napi::Env env, const char* name, std::function<void()> work,
                             std::function<Napi::Value(Napi::Env)> finish,
                             Napi::Object keep = Napi::Object()) {
    auto* worker = new PromiseWork(env, name, std::move(work), std::move(finish));
    if (!keep.IsEmpty()) worker->keep_ = Napi::Persistent(keep);
    Napi::Promise promise = worker->deferred_.Promise();
    worker->Napi::AsyncWorker::Queue();
    return promise;
  }

 protected:
  void Execute() override { work_(); }

  void OnOK() override {
    Napi::HandleScope scope(Env());
    try {
      deferred_.Resolve(finish_(Env()));
    } catch (const Napi::Error& error) {
      deferred_.Reject(error.Value());
    }
  }

  void OnError(const Napi::Error& error) override {
    Napi::HandleScope scope(Env());
    deferred_.Reject(error.Value());
  }

 private:
  PromiseWork(Napi::Env env, const char* name, std::function<void()> work,
              std::function<Napi::Value(Napi::Env)> finish)
      : Napi::AsyncWorker(env, name),
        deferred_(Napi::Promise::Deferred::New(env)),
        work_(std::move(work)),
        finish_(std::move(finish)) {}

  Napi::Promise::Deferred deferred_;
  std::function<void()> work_;
  std::function<Napi::Value(Napi::Env)> finish_;
  Napi::ObjectReference keep_;
};

}  // namespace mapwire
