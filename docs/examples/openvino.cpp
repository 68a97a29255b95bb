// Classifies an image with an OpenVINO export: classify FOLDER IMAGE.ppm
// The image is a binary PPM (P6) of the size that the network takes: arrange.py of the export shows how to
// resize others. Build it with the headers and libraries of OpenVINO:
// g++ -std=c++17 openvino.cpp -I$OPENVINO/include -L$OPENVINO/libs -lopenvino -o classify
#include <algorithm>
#include <fstream>
#include <iostream>
#include <limits>
#include <string>
#include <vector>

#include <openvino/openvino.hpp>

int main(int count, char** arguments) {
    if (count != 3) return std::cerr << "usage: classify FOLDER IMAGE.ppm\n", 2;
    const std::string folder = arguments[1];
    std::ifstream file(arguments[2], std::ios::binary);
    std::string kind;
    size_t width = 0, height = 0, top = 0;
    if (!(file >> kind >> width >> height >> top) || kind != "P6" || top != 255)
        return std::cerr << "not a binary PPM with 8 bits\n", 3;
    file.get();  // the byte that ends the header
    std::vector<uint8_t> pixels(height * width * 3);
    if (!file.read(reinterpret_cast<char*>(pixels.data()), pixels.size())) return std::cerr << "too short\n", 3;

    ov::Core core;
    auto network = core.compile_model(folder + "/model.xml", "CPU", ov::hint::inference_precision(ov::element::f32));
    auto request = network.create_infer_request();
    request.set_input_tensor(ov::Tensor(ov::element::u8, {1, height, width, 3}, pixels.data()));
    request.infer();
    const auto scores = request.get_tensor("scores");
    const float* first = scores.data<float>();
    const auto best = std::max_element(first, first + scores.get_size()) - first;

    std::ifstream labels(folder + "/labels.txt");
    std::string label;
    for (long number = 0; number <= best; ++number) std::getline(labels, label);
    std::cout.precision(std::numeric_limits<float>::max_digits10);
    std::cout << label << '\t' << first[best] << '\n';
}
