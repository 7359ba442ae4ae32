/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * distorch2 for C++11 and later: objects that free themselves, and failures that are thrown. It is a thin coat over
 * <distorch2.h>, which is the manual: structs and enums are those of C, and what has no member here is called with the
 * object of C, which every wrapper gives by get().
 *
 *     distorch2::context context;
 *     distorch2::file file("control.safetensors");
 *     distorch2::model model = context.load(file, distorch2::blocks(file));
 *     distorch2::borrow hold(model);                    // nobody ejects it while this is there
 *     dt2_native where = model.native(model.find("time_embed.0.weight"));
 *
 * Wrappers are moved, not copied. One that was moved from is empty, and good for nothing but to be assigned to or to be
 * destroyed; so is one that was made without an object. An object goes before what it was made from: leases before their
 * session, sessions and borrows before the context of their model. Callbacks (log, progress, release) are called from C: no
 * exception may leave them.
 */
#ifndef DISTORCH2_HPP
#define DISTORCH2_HPP

#include <distorch2.h>

#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace distorch2 {

/* A failure: its code, its text (what()), and what would work, where that is known. */
class error : public std::exception {
public:
    error(int code, const dt2_error &err) : code_(code), text_(err.text), suggestion_(err.suggestion) {}
    const char *what() const noexcept override { return text_.c_str(); }
    int code() const noexcept { return code_; }
    const char *code_name() const noexcept { return dt2_code_name(code_); }
    const std::string &suggestion() const noexcept { return suggestion_; }

private:
    int code_;
    std::string text_;
    std::string suggestion_;
};

namespace detail {

/* Throws what a function of C has reported. */
inline void check(int code, const dt2_error &err)
{
    if (code < 0)
        throw error(code, err);
}

/* An object of C, and the function that frees it. */
template <class T, void (*Free)(T *)> class handle {
public:
    handle() noexcept = default;
    explicit handle(T *object) noexcept : object_(object) {}
    handle(handle &&other) noexcept : object_(other.release()) {}
    handle &operator=(handle &&other) noexcept
    {
        if (this != &other)
            reset(other.release());
        return *this;
    }
    handle(const handle &) = delete;
    handle &operator=(const handle &) = delete;
    ~handle() { reset(); }

    T *get() const noexcept { return object_; }
    explicit operator bool() const noexcept { return object_ != nullptr; }
    /* The object becomes the caller's, to free. */
    T *release() noexcept
    {
        T *object = object_;
        object_ = nullptr;
        return object;
    }
    void reset(T *object = nullptr) noexcept
    {
        T *old = object_;
        object_ = object;
        if (old)
            Free(old);
    }

private:
    T *object_ = nullptr;
};

} // namespace detail

/* -- Tier 1: files ------------------------------------------------------------------------------------- */

class file : public detail::handle<dt2_file, dt2_file_free> {
public:
    file() noexcept = default;
    explicit file(const std::string &path)
    {
        dt2_file *made = nullptr;
        dt2_error err;
        detail::check(dt2_file_open(path.c_str(), &made, &err), err);
        reset(made);
    }
    /* One of C's, which becomes its own. */
    explicit file(dt2_file *object) noexcept : handle(object) {}
    std::size_t size() const { return dt2_file_tensor_count(get()); }
    std::uint64_t total_bytes() const { return dt2_file_total_bytes(get()); }
    /* nullptr for a wrong index. */
    const dt2_tensor *tensor(std::size_t index) const { return dt2_file_tensor(get(), index); }
    std::size_t find(const std::string &name) const
    {
        std::size_t index = 0;
        dt2_error err;
        detail::check(dt2_file_find(get(), name.c_str(), &index, &err), err);
        return index;
    }
    /* The same model as it will be stored, which stands on its own: dt2_file_stored(). */
    file stored(const dt2_storing &how) const
    {
        dt2_file *made = nullptr;
        dt2_error err;
        detail::check(dt2_file_stored(get(), &how, &made, &err), err);
        return file(made);
    }
    const char *dtype() const { return dt2_file_dtype(get()); }
    std::vector<unsigned char> read(std::size_t index) const
    {
        const dt2_tensor *found = tensor(index);
        std::vector<unsigned char> bytes(found ? found->bytes : 0);
        dt2_error err;
        detail::check(dt2_file_read(get(), index, bytes.data(), bytes.size(), &err), err);
        return bytes;
    }
};

/* -- Tier 2: blocks, devices and plans -------------------------------------------------------------------- */

class blocks : public detail::handle<dt2_blocks, dt2_blocks_free> {
public:
    blocks() noexcept = default;
    /* As the library groups and orders them. */
    explicit blocks(const file &from)
    {
        dt2_blocks *made = nullptr;
        dt2_error err;
        detail::check(dt2_blocks_make(from.get(), &made, &err), err);
        reset(made);
    }
    /* Of one's own making: dt2_blocks_from(). */
    blocks(const file &from, const std::vector<dt2_block> &list)
    {
        dt2_blocks *made = nullptr;
        dt2_error err;
        detail::check(dt2_blocks_from(from.get(), list.data(), list.size(), &made, &err), err);
        reset(made);
    }
    std::size_t size() const { return dt2_blocks_count(get()); }
    const dt2_block *data() const { return dt2_blocks_array(get()); }
    const dt2_block *begin() const { return data(); }
    const dt2_block *end() const { return data() + size(); }
};

class devices : public detail::handle<dt2_devices, dt2_devices_free> {
public:
    devices() noexcept = default;
    explicit devices(dt2_devices *object) noexcept : handle(object) {}
    /* A machine as dt2_devices_json() writes it. */
    static devices parse(const std::string &json)
    {
        dt2_devices *made = nullptr;
        dt2_error err;
        detail::check(dt2_devices_parse(json.data(), json.size(), &made, &err), err);
        return devices(made);
    }
    std::size_t size() const { return dt2_devices_count(get()); }
    /* nullptr for a wrong index. */
    const dt2_device *at(std::size_t index) const { return dt2_devices_get(get(), index); }
    std::size_t find(const std::string &name) const
    {
        std::size_t index = 0;
        dt2_error err;
        detail::check(dt2_devices_find(get(), name.c_str(), &index, &err), err);
        return index;
    }
};

class plan : public detail::handle<dt2_plan, dt2_plan_free> {
public:
    plan() noexcept = default;
    explicit plan(dt2_plan *object) noexcept : handle(object) {}
    /* For any machine, without touching one: dt2_plan_make(). */
    plan(const devices &machine, const dt2_block *list, std::size_t count, const dt2_request &request)
    {
        dt2_plan *made = nullptr;
        dt2_error err;
        detail::check(dt2_plan_make(machine.get(), list, count, &request, &made, &err), err);
        reset(made);
    }
    std::size_t size() const { return dt2_plan_share_count(get()); }
    /* nullptr for a wrong index. */
    const dt2_share *share(std::size_t index) const { return dt2_plan_share(get(), index); }
    std::uint64_t window_bytes() const { return dt2_plan_window_bytes(get()); }
    std::string compute_device() const { return dt2_plan_compute_device(get()); }
};

/* -- Tier 3: models -------------------------------------------------------------------------------------- */

/* A reference to a model: it keeps the handle, not the bytes. */
class model : public detail::handle<dt2_model, dt2_model_unref> {
public:
    model() noexcept = default;
    explicit model(dt2_model *object) noexcept : handle(object) {}
    /* One more reference. */
    model share() const { return model(dt2_model_ref(get())); }
    std::string name() const { return dt2_model_name(get()); }
    bool loaded() const { return dt2_model_loaded(get()); }
    void unload(dt2_unload_mode mode = DT2_UNLOAD_REFUSE)
    {
        dt2_error err;
        detail::check(dt2_model_unload(get(), mode, &err), err);
    }
    /* Makes room on the compute device; returns the bytes that were freed. */
    std::uint64_t evict(std::uint64_t bytes)
    {
        std::uint64_t freed = 0;
        dt2_error err;
        detail::check(dt2_model_evict(get(), nullptr, bytes, &freed, &err), err);
        return freed;
    }
    /* Brings back what was evicted; returns how much that was. */
    std::uint64_t restore()
    {
        std::uint64_t restored = 0;
        dt2_error err;
        detail::check(dt2_model_restore(get(), &restored, &err), err);
        return restored;
    }
    /* Bytes on a device, or, with nullptr, on all. */
    std::uint64_t held(const char *device = nullptr) const { return dt2_model_held(get(), device); }
    std::size_t size() const { return dt2_model_tensor_count(get()); }
    /* nullptr for a wrong index. */
    const dt2_tensor *tensor(std::size_t index) const { return dt2_model_tensor(get(), index); }
    std::size_t find(const std::string &name) const
    {
        std::size_t index = 0;
        dt2_error err;
        detail::check(dt2_model_find(get(), name.c_str(), &index, &err), err);
        return index;
    }
    std::size_t block_count() const { return dt2_model_block_count(get()); }
    const dt2_block *block(std::size_t index) const { return dt2_model_block(get(), index); }
    const dt2_model_stats &statistics() const { return *dt2_model_statistics(get()); }
    /* Hold a borrow while it is used. */
    dt2_native native(std::size_t index) const
    {
        dt2_native where = DT2_NATIVE_INIT;
        dt2_error err;
        detail::check(dt2_model_native(get(), index, &where, &err), err);
        return where;
    }
    std::vector<unsigned char> read(std::size_t index) const
    {
        const dt2_tensor *found = tensor(index);
        std::vector<unsigned char> bytes(found ? found->bytes : 0);
        dt2_error err;
        detail::check(dt2_model_read(get(), index, bytes.data(), bytes.size(), &err), err);
        return bytes;
    }
};

/* The bytes of a model stay where they are as long as this is there. */
class borrow : public detail::handle<dt2_model, dt2_model_return> {
public:
    borrow() noexcept = default;
    explicit borrow(const model &from) : reference_(from.share())
    {
        dt2_error err;
        detail::check(dt2_model_borrow(from.get(), &err), err);
        reset(from.get());
    }
    borrow(borrow &&) noexcept = default;
    borrow &operator=(borrow &&other) noexcept
    {
        if (this != &other) {
            reset(); /* while the model that it is of is still referred to */
            reference_ = std::move(other.reference_);
            reset(other.release());
        }
        return *this;
    }
    borrow(const borrow &) = delete;
    borrow &operator=(const borrow &) = delete;
    ~borrow() { reset(); }

private:
    model reference_;
};

/* -- Tier 3, continued: running --------------------------------------------------------------------------- */

namespace detail {

/* What is still held, or failed on the way, nobody can be told here: session::close() throws. */
inline void close_session(dt2_session *object)
{
    dt2_session_close(object, nullptr);
}

} // namespace detail

class session;

/* A block that is usable on the compute device as long as this is there. */
class lease {
public:
    lease() noexcept = default;
    lease(dt2_session *of, std::size_t block, unsigned flags = 0) : block_(block)
    {
        dt2_error err;
        detail::check(dt2_session_acquire(of, block, flags, &err), err);
        session_ = of;
    }
    lease(lease &&other) noexcept : session_(other.session_), block_(other.block_) { other.session_ = nullptr; }
    lease &operator=(lease &&other) noexcept
    {
        std::swap(session_, other.session_);
        std::swap(block_, other.block_);
        return *this;
    }
    lease(const lease &) = delete;
    lease &operator=(const lease &) = delete;
    ~lease()
    {
        if (session_)
            dt2_session_release(session_, block_, nullptr);
    }
    /* Gives the block back now, and throws what that reports: with a stream, that bytes never arrived. */
    void release()
    {
        dt2_session *of = session_;
        dt2_error err;
        session_ = nullptr;
        if (of)
            detail::check(dt2_session_release(of, block_, &err), err);
    }
    std::size_t block() const noexcept { return block_; }
    /* Where a tensor of the block is on the compute device. */
    dt2_native native(std::size_t tensor) const
    {
        dt2_native where = DT2_NATIVE_INIT;
        dt2_error err;
        detail::check(dt2_session_native(session_, tensor, &where, &err), err);
        return where;
    }

private:
    dt2_session *session_ = nullptr;
    std::size_t block_ = 0;
};

class session : public detail::handle<dt2_session, detail::close_session> {
public:
    session() noexcept = default;
    explicit session(const model &of, const dt2_session_options *options = nullptr)
    {
        dt2_session *made = nullptr;
        dt2_error err;
        detail::check(dt2_session_open(of.get(), options, &made, &err), err);
        reset(made);
    }
    lease acquire(std::size_t block, unsigned flags = 0) { return lease(get(), block, flags); }
    void next_pass() { dt2_session_next_pass(get()); }
    /* DT2_EBUSY while a block is held: the session then stays. */
    void close()
    {
        dt2_error err;
        detail::check(dt2_session_close(get(), &err), err);
        release();
    }
    struct dt2_session_info info() const
    {
        struct dt2_session_info found = DT2_SESSION_INFO_INIT;
        dt2_error err;
        detail::check(::dt2_session_info(get(), &found, &err), err);
        return found;
    }
    dt2_session_stats statistics(dt2_session_span span = DT2_SESSION_TOTAL) const
    {
        dt2_session_stats found = DT2_SESSION_STATS_INIT;
        dt2_error err;
        detail::check(dt2_session_statistics(get(), span, &found, &err), err);
        return found;
    }
};

/* -- The context ------------------------------------------------------------------------------------------ */

class context : public detail::handle<dt2_context, dt2_context_destroy> {
public:
    /* `options` may be nullptr: the defaults. */
    explicit context(const dt2_context_options *options = nullptr)
    {
        dt2_context *made = nullptr;
        dt2_error err;
        detail::check(dt2_context_create(options, &made, &err), err);
        reset(made);
    }
    devices list(unsigned flags = 0) const
    {
        dt2_devices *made = nullptr;
        dt2_error err;
        detail::check(dt2_devices_list(get(), flags, &made, &err), err);
        return devices(made);
    }
    dt2_native_device native(const std::string &device, bool open = false) const
    {
        dt2_native_device found = DT2_NATIVE_DEVICE_INIT;
        dt2_error err;
        detail::check(::dt2_device_native(get(), device.c_str(), open, &found, &err), err);
        return found;
    }
    /* What load() would do now. */
    distorch2::plan plan(const blocks &list, const dt2_request *request = nullptr) const
    {
        dt2_plan *made = nullptr;
        dt2_error err;
        detail::check(dt2_model_plan(get(), list.get(), request, &made, &err), err);
        return distorch2::plan(made);
    }
    model load(const file &from, const blocks &list, const dt2_request *request = nullptr,
               const dt2_load_options *options = nullptr)
    {
        dt2_model *made = nullptr;
        dt2_error err;
        detail::check(dt2_model_load(get(), from.get(), list.get(), request, options, &made, &err), err);
        return model(made);
    }
    /* As a plan has it that was made before. */
    model load(const file &from, const blocks &list, const distorch2::plan &made_before,
               const dt2_load_options *options = nullptr)
    {
        dt2_model *made = nullptr;
        dt2_error err;
        detail::check(dt2_model_load_plan(get(), from.get(), list.get(), made_before.get(), options, &made, &err), err);
        return model(made);
    }
};

} // namespace distorch2

#endif
