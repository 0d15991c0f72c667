// SPDX-License-Identifier: Apache-2.0
// Work on the thread pool that settles a promise.
//
// Not node-addon-api's AsyncWorker: when a worker_thread ends while work is under way, its completion is called in an
// environment that runs no JavaScript any more, and the wrapper's exceptions would end the process. Here every
// failure to settle is dropped: nobody waits for that promise.
#pragma once

#include <napi.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "context.h"

namespace mapwire {

class PromiseWork {
 public:
  // `work` runs on a pool thread and touches nothing of JavaScript; `finish` makes the promise's value. What both
  // share goes with them, so descriptors that were not handed over are closed.
  static Napi::Promise Queue(Napi::Env env, const char* name, std::function<void()> work,
                             std::function<Napi::Value(Napi::Env)> finish) {
    auto self = std::unique_ptr<PromiseWork>(new PromiseWork(std::move(work), std::move(finish)));
    napi_value promise = nullptr;
    Check(env, napi_create_promise(env, &self->deferred_, &promise));
    Check(env, napi_create_async_work(env, nullptr, Napi::String::New(env, name), Execute, Complete, self.get(),
                                      &self->handle_));
    napi_status queued = napi_queue_async_work(env, self->handle_);
    if (queued != napi_ok) napi_delete_async_work(env, self->handle_);
    Check(env, queued);
    self.release();  // Complete() deletes it
    return Napi::Promise(env, promise);
  }

 private:
  PromiseWork(std::function<void()> work, std::function<Napi::Value(Napi::Env)> finish)
      : work_(std::move(work)), finish_(std::move(finish)) {}

  static void Check(Napi::Env env, napi_status status) {
    if (status != napi_ok) throw Napi::Error::New(env);
  }

  static void Execute(napi_env, void* data) {
    auto* self = static_cast<PromiseWork*>(data);
    try {
      self->work_();
    } catch (const std::exception& error) {
      self->error_ = error.what();
      self->failed_ = true;
    }
  }

  static void Complete(napi_env env, napi_status status, void* data) {
    std::unique_ptr<PromiseWork> self(static_cast<PromiseWork*>(data));
    napi_handle_scope scope = nullptr;
    if (napi_open_handle_scope(env, &scope) != napi_ok) return;
    if (status == napi_ok && Napi::Env(env).GetInstanceData<Context>() != nullptr) {
      try {
        self->Settle(env);
      } catch (...) {
        // the environment is ending
      }
    }
    napi_delete_async_work(env, self->handle_);
    napi_close_handle_scope(env, scope);
  }

  void Settle(Napi::Env env) {
    if (failed_) {
      napi_reject_deferred(env, deferred_, Napi::Error::New(env, error_).Value());
      return;
    }
    try {
      napi_resolve_deferred(env, deferred_, finish_(env));
    } catch (const Napi::Error& error) {
      napi_reject_deferred(env, deferred_, error.Value());
    }
  }

  std::function<void()> work_;
  std::function<Napi::Value(Napi::Env)> finish_;
  napi_deferred deferred_ = nullptr;
  napi_async_work handle_ = nullptr;
  bool failed_ = false;
  std::string error_;
};

}  // namespace mapwire
