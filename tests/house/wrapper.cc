/* SPDX-License-Identifier: BSD-3-Clause */
/* distorch2.hpp as a program uses it: wrapper MODEL. Prints TAP. tests/house/wrapper.sh builds it with each compiler. */
#include <cstdio>
#include <cstring>
#include <distorch2/distorch2.hpp>
#include <type_traits>

static int count = 0;

static void ok(bool good, const char *what)
{
    std::printf("%s %d - %s\n", good ? "ok" : "not ok", ++count, what);
}

template <class T> static void moves(const char *what)
{
    ok(std::is_nothrow_move_constructible<T>::value && std::is_move_assignable<T>::value &&
           !std::is_copy_constructible<T>::value && !std::is_copy_assignable<T>::value,
       what);
}

static void test_kinds()
{
    using namespace distorch2;
    moves<context>("a context is moved, not copied");
    moves<file>("so is a file");
    moves<blocks>("so are blocks");
    moves<devices>("so are devices");
    moves<distorch2::plan>("so is a plan");
    moves<model>("so is a model");
    moves<borrow>("so is a borrow");
    moves<session>("so is a session");
    moves<lease>("so is a lease");
}

/* Whether it throws an error of that code, with text. */
template <class F> static bool throws(int code, F function)
{
    try {
        function();
    } catch (const distorch2::error &e) {
        return e.code() == code && *e.what() && std::strcmp(e.code_name(), dt2_code_name(code)) == 0;
    }
    return false;
}

static dt2_request on_cpu()
{
    dt2_request request = DT2_REQUEST_INIT;
    request.compute_device = "cpu";
    request.expert_mode_allocations = "cpu,*";
    return request;
}

static void test_files(const char *path)
{
    using namespace distorch2;
    file opened(path), other(std::move(opened));
    ok(!opened && other && other.size() == 18, "a file that was moved is where it went");
    ok(other.read(0).size() == other.tensor(0)->bytes, "a tensor is read");
    ok(other.find(other.tensor(3)->name) == 3, "and found");
    ok(throws(DT2_ENOENT, [&] { other.find("nothing"); }), "one that is not there is thrown");
    ok(throws(DT2_EUSAGE, [&] { other.read(99); }), "so is a wrong index");
    ok(throws(DT2_ENOENT, [] { file none("/nonexistent.safetensors"); }), "and a file that is not there");
    try {
        other.find("control_model.time_embed.0.wait");
    } catch (const error &e) {
        ok(e.suggestion().find("control_model.time_embed.0.weight") != std::string::npos, "with what was meant");
    }
    other = file(path);
    ok(other.size() == 18, "it is assigned to");
    dt2_storing how = DT2_STORING_INIT;
    how.dtype = "f32";
    file floats = file(path).stored(how);
    ok(floats.total_bytes() == 2 * other.total_bytes() && std::strcmp(floats.dtype(), "F32") == 0,
       "what is stored otherwise stands on its own");
    how.dtype = "f33";
    ok(throws(DT2_EUSAGE, [&] { other.stored(how); }), "a dtype that is none is thrown");
}

static void test_blocks(const distorch2::file &opened)
{
    using namespace distorch2;
    blocks made(opened);
    std::size_t tensors = 0;
    for (const dt2_block &block : made)
        tensors += block.tensor_count;
    ok(tensors == opened.size(), "blocks are a range");
    std::size_t first = 0;
    dt2_block own = dt2_block();
    own.name = "own";
    own.tensors = &first;
    own.tensor_count = 1;
    ok(blocks(opened, std::vector<dt2_block>(1, own)).size() == 1, "blocks of one's own");
    devices machine = devices::parse("{\"devices\": [{\"name\": \"cpu\", \"total_bytes\": 1000000000}]}");
    dt2_request request = on_cpu();
    distorch2::plan planned(machine, made.data(), made.size(), request);
    ok(planned.size() == 1 && planned.share(0)->bytes == opened.total_bytes() && planned.compute_device() == "cpu",
       "a plan for a machine that is not there");
    request.compute_device = "cuda:0";
    ok(throws(DT2_ENOENT, [&] { distorch2::plan none(machine, made.data(), made.size(), request); }), "and none for its GPU");
}

static void test_models(distorch2::context &context, const distorch2::file &opened)
{
    using namespace distorch2;
    blocks made(opened);
    const dt2_request request = on_cpu();
    model loaded = context.load(opened, made, context.plan(made, &request));
    ok(loaded.loaded() && loaded.size() == 18 && loaded.read(2) == opened.read(2), "a model is loaded as planned");
    {
        borrow hold(loaded), moved(std::move(hold));
        ok(loaded.native(0).handle != nullptr, "its tensors have addresses");
        ok(throws(DT2_EBUSY, [&] { loaded.unload(); }), "a borrow keeps them there");
        hold = std::move(moved);
        ok(throws(DT2_EBUSY, [&] { loaded.unload(); }), "also one that was moved twice");
    }
    model again = loaded.share();
    loaded.unload();
    ok(!again.loaded() && throws(DT2_EGONE, [&] { borrow late(again); }), "and no longer than it is there");
}

static void test_sessions(distorch2::context &context, const distorch2::file &opened)
{
    using namespace distorch2;
    const dt2_request request = on_cpu();
    model loaded = context.load(opened, blocks(opened), &request);
    session running(loaded);
    {
        lease held = running.acquire(0), moved;
        moved = std::move(held);
        const std::size_t tensor = loaded.block(0)->tensors[0];
        ok(std::memcmp(moved.native(tensor).handle, opened.read(tensor).data(), loaded.tensor(tensor)->bytes) == 0,
           "what is leased has the file's bytes");
        moved.release();
        moved.release();
        ok(throws(DT2_EUSAGE, [&] { running.acquire(999); }), "a wrong block is thrown");
    }
    running.next_pass();
    ok(running.statistics().passes == 1 && std::strcmp(running.info().compute_device, "cpu") == 0, "it counts its passes");
    running.close();
    ok(!running, "it closes");
    loaded.unload();
    ok(!loaded.loaded(), "and holds the model no more");
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    test_kinds();
    test_files(argv[1]);
    distorch2::file opened(argv[1]);
    test_blocks(opened);
    distorch2::context context;
    ok(context.list().find("cpu") == 0 && context.native("cpu").ordinal == -1, "a context lists its devices");
    test_models(context, opened);
    test_sessions(context, opened);
    distorch2::context gone(std::move(context));
    ok(!context && gone, "a context is moved");
    std::printf("1..%d\n", count);
    return 0;
}
